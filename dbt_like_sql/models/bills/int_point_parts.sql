{{ config(materialized='by_month') }}

-- A meter serves the billing point that meters.csv states for the day; without one, it is a point of its own. As in
-- billing_monthly, an excluded day is not billed.
with

counted_days as (
    select
        *,
        coalesce(billing_point, meter_id) as point
    from {{ ref('billing_days') }}
    qualify not is_excluded or bool_and(is_excluded) over (partition by site_id, meter_id, billing_month)
)

select
    site_id,
    point as billing_point,
    meter_id,
    billing_month,
    min(local_date) as first_day,
    max(local_date) as last_day,
    sum(total)::decimal(18, 6) as total,
    case when bool_or(has_split) then sum(solar)::decimal(18, 6) end as solar,
    case when bool_or(has_split) then sum(grid)::decimal(18, 6) end as grid,
    sum(intervals_due)::integer as intervals_expected,
    sum(intervals_present)::integer as intervals_present
from counted_days
where is_billed
group by site_id, point, meter_id, billing_month
