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

final as (
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
)

select * from final
