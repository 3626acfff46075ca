{{ config(materialized='by_month') }}

-- What the meters of a billing point measured for it, one after the other; the point is as good as the worst of them.
with

segments as (
    select
        parts.*,
        bills.meter_name,
        bills.meter_type,
        bills.meter_role,
        bills.unit,
        bills.site_name,
        bills.grade,
        -- What is wrong with the month need not be wrong with the days of this tenant.
        bills.reasons || case
            when count(*) over (partition by parts.site_id, parts.meter_id, parts.billing_month) > 1
                and bills.grade not in ('ready', 'ready_with_estimates')
                then [
                    'of_the_month: graded is all of the meter''s month; billing_between(''' || parts.first_day
                    || ''', ''' || parts.last_day || ''') grades the days of this billing point alone'
                ]
            else []
        end as reasons,
        bills.grade in ('ready', 'ready_with_estimates') and not bills.is_excluded as is_billable
    from {{ ref('int_point_parts') }} as parts
    inner join {{ ref('billing_monthly') }} as bills
        on bills.site_id = parts.site_id
        and bills.meter_id = parts.meter_id
        and bills.billing_month = parts.billing_month
)

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
