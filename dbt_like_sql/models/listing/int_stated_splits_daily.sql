{{ config(materialized='by_day') }}

-- Of meters that some list states no mode of: how many of their values come with solar and grid. Only what is consumed
-- is split, so the data tell what the list does not.
select
    site_id,
    meter_id,
    local_date,
    count(*)::integer as intervals_with_value,
    count(solar + grid)::integer as intervals_with_split
from {{ source('climkit', 'meter_intervals') }}
semi join (
    select site_id, meter_id
    from {{ ref('int_listed_meters_daily') }}
    where coalesce(meter_mode, 'unknown') = 'unknown'
) as nameless using (site_id, meter_id)
where superseded_at_utc is null and total is not null
group by site_id, meter_id, local_date
