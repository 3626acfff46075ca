select * exclude (extra, superseded_at_utc)
from {{ source('climkit', 'meter_intervals') }}
where superseded_at_utc is null
