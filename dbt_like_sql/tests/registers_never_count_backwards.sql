-- What a register counted until the end of each day never falls, whatever was replaced.
select
    site_id,
    meter_id,
    local_date
from (
    select
        *,
        lag(counted) over (partition by site_id, meter_id order by local_date) as counted_before
    from {{ ref('meter_index_days') }}
    where counted is not null
)
where counted < counted_before
