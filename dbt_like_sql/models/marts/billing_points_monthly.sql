{{ config(materialized='view') }}

with

days as (
    select * from {{ ref('billing_days') }}
),

billing as (
    select * from {{ ref('billing_monthly') }}
),

-- As in billing_monthly: an excluded day is not billed.
counted_days as (
    select *
    from days
    qualify not is_excluded or bool_and(is_excluded) over (partition by site_id, meter_id, billing_month)
),

-- A meter serves the billing point that meters.csv states for the day; without one, it is a point of its own.
meter_parts as (
    select
        days.site_id,
        coalesce(days.billing_point, days.meter_id) as billing_point,
        days.meter_id,
        days.billing_month,
        min(days.local_date) as first_day,
        max(days.local_date) as last_day,
        sum(days.total)::decimal(18, 6) as total,
        case when bool_or(days.has_split) then sum(days.solar)::decimal(18, 6) end as solar,
        case when bool_or(days.has_split) then sum(days.grid)::decimal(18, 6) end as grid,
        sum(days.intervals_due)::integer as intervals_expected,
        sum(days.intervals_present)::integer as intervals_present
    from counted_days as days
    where days.is_billed
    group by days.site_id, coalesce(days.billing_point, days.meter_id), days.meter_id, days.billing_month
),

segments as (
    select
        meter_parts.*,
        billing.meter_name,
        billing.meter_type,
        billing.meter_role,
        billing.unit,
        billing.site_name,
        billing.grade,
        -- What is wrong with the month need not be wrong with the days of this tenant.
        billing.reasons || case
            when count(*) over (partition by meter_parts.site_id, meter_parts.meter_id, meter_parts.billing_month) > 1
                and billing.grade not in ('ready', 'ready_with_estimates')
                then [
                    'of_the_month: graded is all of the meter''s month; billing_between(''' || meter_parts.first_day
                    || ''', ''' || meter_parts.last_day || ''') grades the days of this billing point alone'
                ]
            else []
        end as reasons,
        billing.grade in ('ready', 'ready_with_estimates') and not billing.is_excluded as is_billable
    from meter_parts
    inner join billing
        on billing.site_id = meter_parts.site_id
        and billing.meter_id = meter_parts.meter_id
        and billing.billing_month = meter_parts.billing_month
),

points as (
    select
        site_id,
        any_value(site_name) as site_name,
        billing_point,
        meter_type,
        meter_role,
        any_value(unit) as unit,
        billing_month,
        min(first_day) as first_day,
        max(last_day) as last_day,
        sum(total)::decimal(18, 6) as total,
        sum(solar)::decimal(18, 6) as solar,
        sum(grid)::decimal(18, 6) as grid,
        case when bool_and(is_billable) then sum(total) end::decimal(18, 6) as billable_total,
        case when bool_and(is_billable) then sum(solar) end::decimal(18, 6) as billable_solar,
        case when bool_and(is_billable) then sum(grid) end::decimal(18, 6) as billable_grid,
        sum(intervals_expected)::integer as intervals_expected,
        sum(intervals_present)::integer as intervals_present,
        -- The point is as good as the worst of its meters.
        case
            when bool_or(grade = 'provisional') then 'provisional'
            when bool_or(grade = 'blocked') then 'blocked'
            when bool_or(grade = 'ready_with_estimates') then 'ready_with_estimates'
            else 'ready'
        end as grade,
        flatten(list(reasons order by first_day, meter_id)) as reasons,
        count(distinct meter_id)::integer as meters,
        list({
            'meter_id': meter_id, 'meter_name': meter_name, 'first_day': first_day, 'last_day': last_day,
            'total': total, 'solar': solar, 'grid': grid, 'grade': grade
        } order by first_day, meter_id) as segments
    from segments
    group by site_id, billing_point, meter_type, meter_role, billing_month
),

-- Days on which a meter of the point was in service, whether or not they are billed: what a person took off the bill is
-- told by the meter's own reasons.
served_months as (
    select
        days.site_id,
        coalesce(days.billing_point, days.meter_id) as billing_point,
        billing.meter_type,
        billing.meter_role,
        days.billing_month,
        min(days.local_date) as first_served_on,
        max(days.local_date) as last_served_on,
        count(distinct days.local_date) as days_served
    from days
    inner join billing
        on billing.site_id = days.site_id
        and billing.meter_id = days.meter_id
        and billing.billing_month = days.billing_month
    group by
        days.site_id, coalesce(days.billing_point, days.meter_id), billing.meter_type, billing.meter_role,
        days.billing_month
),

lives as (
    select
        site_id,
        billing_point,
        meter_type,
        meter_role,
        min(first_served_on) as first_served_on,
        max(last_served_on) as last_served_on
    from served_months
    where exists (
        select 1
        from points
        where
            points.site_id = served_months.site_id
            and points.billing_point = served_months.billing_point
            and points.meter_type is not distinct from served_months.meter_type
            and points.meter_role = served_months.meter_role
    )
    group by site_id, billing_point, meter_type, meter_role
),

life_months as (
    select
        *,
        unnest(generate_series(
            date_trunc('month', first_served_on)::timestamp, last_served_on::timestamp, interval 1 month
        ))::date as billing_month
    from lives
),

-- Between the first and the last day of its life a point has a meter on every day, or somebody should know.
unserved as (
    select
        life_months.site_id,
        life_months.billing_point,
        life_months.meter_type,
        life_months.meter_role,
        life_months.billing_month,
        coalesce(served_months.days_served, 0) as days_served,
        least(last_day(life_months.billing_month), life_months.last_served_on)
        - greatest(life_months.billing_month, life_months.first_served_on) + 1 - coalesce(served_months.days_served, 0)
            as days_unserved
    from life_months
    left join served_months
        on served_months.site_id = life_months.site_id
        and served_months.billing_point = life_months.billing_point
        and served_months.meter_type is not distinct from life_months.meter_type
        and served_months.meter_role = life_months.meter_role
        and served_months.billing_month = life_months.billing_month
),

names as (
    select
        site_id,
        meter_type,
        any_value(site_name) as site_name,
        any_value(unit) as unit
    from points
    group by site_id, meter_type
),

-- A month in which no meter served the point has a row, too: nothing was measured, and nothing can be billed.
final as (
    select
        unserved.site_id,
        names.site_name,
        unserved.billing_point,
        unserved.meter_type,
        unserved.meter_role,
        names.unit,
        unserved.billing_month,
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
        coalesce(points.reasons, []) || case when unserved.days_unserved > 0 then [
            'not_served: ' || {{ number_of('unserved.days_unserved', 'day', 'days') }}
            || ' without a meter in service, by meters.csv'
        ] else [] end as reasons,
        coalesce(points.meters, 0) as meters,
        coalesce(points.segments, []) as segments
    from unserved
    inner join names
        on names.site_id = unserved.site_id
        and names.meter_type is not distinct from unserved.meter_type
    left join points
        on points.site_id = unserved.site_id
        and points.billing_point = unserved.billing_point
        and points.meter_type is not distinct from unserved.meter_type
        and points.meter_role = unserved.meter_role
        and points.billing_month = unserved.billing_month
    where points.site_id is not null or unserved.days_served = 0
)

select * from final
