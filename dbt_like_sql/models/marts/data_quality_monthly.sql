{{ config(materialized='view') }}
{# kWh or m3 a month: a multiple of less says nothing. #}
{% set least_comparable = 20 %}

with

measures as (
    select * from {{ ref('meter_month_measures') }}
),

period_failures as (
    select
        *,
        billing_month as period_from
    from {{ ref('data_quality_daily') }}
),

site_period_days as (
    select
        *,
        billing_month as period_from
    from {{ ref('site_days') }}
),

{{ period_checks() }},

closings as (
    select * from {{ ref('billing_closings') }}
    where is_closed
),

-- What was closed and is different now: the invoice says something else. A value that came or went counts as 1, whatever
-- it is.
sized_changes as (
    select
        site_id,
        meter_id,
        billing_month,
        max(coalesce(abs(current_value - closed_value), 1)) as measured,
        string_agg(
            quantity || ' ' || coalesce({{ quantity_of('closed_value', 'unit') }}, 'nothing')
            || ' (now ' || coalesce({{ quantity_of('current_value', 'unit') }}, 'nothing') || ')',
            ', '
            order by position
        ) as changes
    from {{ ref('closed_changes') }}
    group by site_id, meter_id, billing_month
),

closing_rows as (
    select
        checks.check_name,
        measures.site_id,
        measures.meter_id,
        measures.period_from,
        checks.severity,
        coalesce(sized_changes.measured, 0)::decimal(18, 6) as measured,
        checks.tolerance,
        checks.tolerance_unit,
        coalesce(sized_changes.measured, 0) <= checks.tolerance as passed,
        checks.check_name as reason_code,
        case
            when sized_changes.measured > checks.tolerance
                then 'the month was closed with ' || sized_changes.changes || ': settle it and bill the correction'
        end as reason,
        false as is_accepted,
        null::varchar as accepted_by,
        null::varchar as accepted_why
    from measures
    inner join closings
        on closings.site_id = measures.site_id
        and closings.billing_month = measures.period_from
    inner join {{ ref('data_quality_checks') }} as checks on checks.check_name = 'changed_after_closing'
    left join sized_changes
        on sized_changes.site_id = measures.site_id
        and sized_changes.meter_id = measures.meter_id
        and sized_changes.billing_month = measures.period_from
),

-- A quantity that the register confirms is a fact, however different from last year's.
last_years as (
    select
        checks.check_name,
        measures.site_id,
        measures.meter_id,
        measures.period_from,
        checks.severity,
        greatest(measures.total / last_year.total, last_year.total / measures.total)::decimal(18, 6) as measured,
        checks.tolerance,
        checks.tolerance_unit,
        'the month holds ' || {{ quantity_of('measures.total', 'measures.unit') }} || ', the same month last year '
        || {{ quantity_of('last_year.total', 'last_year.unit') }} as sentence
    from measures
    inner join measures as last_year
        on last_year.site_id = measures.site_id
        and last_year.meter_id = measures.meter_id
        and last_year.period_from + interval 1 year = measures.period_from
        and last_year.intervals_missing + last_year.intervals_null = 0
    inner join {{ ref('data_quality_checks') }} as checks on checks.check_name = 'far_from_last_year'
    where
        measures.is_over
        and measures.intervals_missing + measures.intervals_null = 0
        and measures.total >= {{ least_comparable }}
        and last_year.total >= {{ least_comparable }}
        and measures.index_advance is null
),

last_year_rows as (
    select
        check_name,
        site_id,
        meter_id,
        period_from,
        severity,
        measured,
        tolerance,
        tolerance_unit,
        measured <= tolerance as passed,
        check_name as reason_code,
        case when measured > tolerance then sentence end as reason,
        false as is_accepted,
        null::varchar as accepted_by,
        null::varchar as accepted_why
    from last_years
),

-- Where the meters added up to the site in a month that was closed, all of them are visible: a difference is an error.
sites_that_add_up as (
    select
        checked.site_id,
        min(checked.period_from) as since
    from checked
    inner join closings
        on closings.site_id = checked.site_id
        and closings.billing_month = checked.period_from
    where checked.check_name = 'site_sum' and checked.passed
    group by checked.site_id
),

final as (
    select
        checked.check_name,
        checked.site_id,
        checked.meter_id,
        checked.period_from as billing_month,
        case
            when checked.check_name = 'site_sum' and sites_that_add_up.since < checked.period_from then 'blocks'
            else checked.severity
        end as severity,
        checked.measured,
        checked.tolerance,
        checked.tolerance_unit,
        checked.passed,
        checked.reason_code,
        checked.reason,
        checked.is_accepted,
        checked.accepted_by,
        checked.accepted_why
    from (
        select * from checked
        union all
        select * from closing_rows
        union all
        select * from last_year_rows
    ) as checked
    left join sites_that_add_up on sites_that_add_up.site_id = checked.site_id
)

select * from final
