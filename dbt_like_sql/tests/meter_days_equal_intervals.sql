-- The quantities of a day are those of its intervals, counted in another way: from the published interval table, by the
-- day that the lake states. Only changed days.
with

days as (
    select * from {{ ref('meter_days') }}
    where {{ is_of_changed_day(['meter_intervals']) }}
),

intervals as (
    select
        site_id,
        meter_id,
        local_date,
        sum(total::decimal(18, 6)) as total,
        count(total) as intervals_present,
        count(*) as intervals
    from {{ ref('meter_intervals') }}
    where {{ is_of_changed_day(['meter_intervals']) }} and (total is null or abs(total) < 1e8)
    group by site_id, meter_id, local_date
)

select
    site_id,
    meter_id,
    local_date
from days
full join intervals using (site_id, meter_id, local_date)
where
    days.total is distinct from intervals.total
    or coalesce(days.intervals_present, -1) <> coalesce(intervals.intervals_present, 0)
