select * exclude (extra, superseded_at_utc)
from {{ source('climkit', 'meter_indices') }}
where superseded_at_utc is null
