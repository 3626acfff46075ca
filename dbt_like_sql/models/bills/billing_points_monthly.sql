with

-- The life of a point that is billed at all: between its first and its last day it has a meter on every day, or somebody
-- should know.
lives as (
    select
        months.site_id,
        months.billing_point,
        months.meter_type,
        months.meter_role,
        names.site_name,
        names.unit,
        min(months.first_served_on) as first_served_on,
        max(months.last_served_on) as last_served_on
    from {{ ref('int_point_months') }} as months
    inner join (
        select
            site_id,
            billing_point,
            meter_type,
            meter_role,
            any_value(site_name) as site_name,
            any_value(unit) as unit
        from {{ ref('int_point_bills') }}
        group by site_id, billing_point, meter_type, meter_role
    ) as names
        on names.site_id = months.site_id
        and names.billing_point = months.billing_point
        and names.meter_type is not distinct from months.meter_type
        and names.meter_role = months.meter_role
    group by all
),

life_months as (
    select
        *,
        unnest(generate_series(
            date_trunc('month', first_served_on)::timestamp, last_served_on::timestamp, interval 1 month
        ))::date as billing_month
    from lives
),

served as (
    select
        life_months.*,
        coalesce(months.days_served, 0) as days_served,
        least(last_day(life_months.billing_month), life_months.last_served_on)
        - greatest(life_months.billing_month, life_months.first_served_on) + 1 - coalesce(months.days_served, 0)
            as days_unserved
    from life_months
    left join {{ ref('int_point_months') }} as months
        on months.site_id = life_months.site_id
        and months.billing_point = life_months.billing_point
        and months.meter_type is not distinct from life_months.meter_type
        and months.meter_role = life_months.meter_role
        and months.billing_month = life_months.billing_month
)

-- A month in which no meter served the point has a row, too: nothing was measured, and nothing can be billed.
select
    served.site_id,
    served.site_name,
    served.billing_point,
    served.meter_type,
    served.meter_role,
    served.unit,
    served.billing_month,
    points.first_day,
    points.last_day,
    points.total,
    points.solar,
    points.grid,
    points.billable_total,
    points.billable_solar,
    points.billable_grid,
    coalesce(points.intervals_expected, 0) as intervals_expected,
    coalesce(points.intervals_present, 0) as intervals_present,
    coalesce(points.grade, 'ready') as grade,
    coalesce(points.reasons, []) || case when served.days_unserved > 0 then [
        'not_served: ' || {{ number_of('served.days_unserved', 'day', 'days') }}
        || ' without a meter in service, by meters.csv'
    ] else [] end as reasons,
    coalesce(points.meters, 0) as meters,
    coalesce(points.segments, []) as segments
from served
left join {{ ref('int_point_bills') }} as points
    on points.site_id = served.site_id
    and points.billing_point = served.billing_point
    and points.meter_type is not distinct from served.meter_type
    and points.meter_role = served.meter_role
    and points.billing_month = served.billing_month
where points.site_id is not null or served.days_served = 0
