select * exclude (extra, superseded_at_utc)
from {{ source('climkit', 'site_intervals') }}
where superseded_at_utc is null
