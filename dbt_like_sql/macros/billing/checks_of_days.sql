{# CTEs down to `day_rows`: failures of days, put together for their period. #}
{% macro checks_of_days() -%}
-- What days show that are excluded has no part in the grade of the others.
excluded_failures as (
    select period_failures.*
    from period_failures
    inner join measures
        on measures.site_id = period_failures.site_id
        and measures.meter_id = period_failures.meter_id
        and measures.period_from = period_failures.period_from
        and measures.days_excluded > 0
        and not measures.is_excluded
    where {{ is_excluded('period_failures') }}
),

counted_failures as (
    select *
    from period_failures
    anti join excluded_failures using (check_name, site_id, meter_id, local_date, period_from)
    -- What is wrong with the site as a whole has no part in it on days that are excluded for all of it.
    where period_failures.meter_id is not null or not exists (
        select 1
        from {{ ref('decisions') }} as exclusions
        where
            exclusions.action = 'exclude'
            and exclusions.meter_id is null
            and exclusions.site_id = period_failures.site_id
            and period_failures.local_date between exclusions.first_day and exclusions.last_day
    )
),

failures_of_days as (
    select
        check_name,
        site_id,
        meter_id,
        period_from,
        any_value(severity) as severity,
        case
            when any_value(tolerance_unit) in ('intervals', 'cuts', 'readings', 'days')
                and check_name not in ('stuck', 'stuck_unread', 'zero_run_unread')
                then sum(measured)
            else max(measured)
        end::decimal(18, 6) as measured,
        any_value(tolerance) as tolerance,
        any_value(tolerance_unit) as tolerance_unit,
        count(*) as days,
        min(local_date) as first_failed_on,
        max(local_date) as last_failed_on,
        max_by(detail, (measured, -epoch_us(local_date::timestamp))) as detail,
        bool_and(accepted_by is not null) as is_accepted,
        min(accepted_by) as accepted_by,
        min_by(accepted_why, (accepted_by, accepted_why)) as accepted_why
    from counted_failures
    where check_name <> 'estimated'
    group by check_name, site_id, meter_id, period_from
),

-- A detail that begins with the day has said it.
dated_failures as (
    select
        *,
        case
            when days > 1
                then ', on ' || days || ' days from ' || first_failed_on || ' to ' || last_failed_on
            when starts_with(detail, first_failed_on::varchar) then ''
            else ', on ' || first_failed_on
        end as on_days
    from failures_of_days
),

estimated as (
    select
        sums.site_id,
        sums.meter_id,
        sums.period_from,
        sum(failures.detail::integer) / max(sums.intervals_present)::double as share
    from counted_failures as failures
    inner join measures as sums
        on sums.site_id = failures.site_id
        and sums.meter_id = failures.meter_id
        and sums.period_from = failures.period_from
    where failures.check_name = 'estimated'
    group by sums.site_id, sums.meter_id, sums.period_from
),

day_rows as (
    select
        check_name, site_id, meter_id, period_from, severity, measured, tolerance, tolerance_unit, false as passed,
        {{ reason_of('check_name', 'measured', 'detail', 'on_days') }} as reason,
        case when is_accepted then accepted_by end as accepted_by,
        case when is_accepted then accepted_why end as accepted_why
    from dated_failures
    union all
    select
        checks.check_name, estimated.site_id, estimated.meter_id, estimated.period_from, checks.severity,
        estimated.share::decimal(18, 6), checks.tolerance, checks.tolerance_unit,
        estimated.share <= checks.tolerance,
        {{ reason_of('checks.check_name', 'estimated.share', 'null') }},
        null, null
    from estimated
    inner join {{ ref('data_quality_checks') }} as checks on checks.check_name = 'estimated'
)
{%- endmacro %}
