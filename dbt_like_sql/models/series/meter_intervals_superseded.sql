select * exclude (extra)
from {{ source('climkit', 'meter_intervals') }}
where superseded_at_utc is not null
