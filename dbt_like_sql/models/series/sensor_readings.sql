select * exclude (extra, superseded_at_utc)
from {{ source('climkit', 'sensor_readings') }}
where superseded_at_utc is null
