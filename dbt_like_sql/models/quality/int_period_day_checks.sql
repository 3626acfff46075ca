{{ config(materialized='view') }}

-- Failures of days, put together for their period as the table of checks says.
with

failures as (
    select
        failures.*,
        checks.over_days
    from {{ ref('int_counted_failures') }} as failures
    inner join {{ ref('data_quality_checks') }} as checks using (check_name)
    where not failures.is_off_bill
),

sums as (
    select
        check_name,
        site_id,
        meter_id,
        period_from,
        case when over_days = 'sum' then sum(measured) else max(measured) end::double as measured,
        count(*) as days,
        min(local_date) as first_failed_on,
        max(local_date) as last_failed_on,
        max_by(detail, (measured, -epoch_us(local_date::timestamp))) as detail,
        -- An acceptance counts for all failed days or not at all.
        bool_and(accepted_by is not null) as is_accepted,
        min(accepted_by) as accepted_by,
        min_by(accepted_why, (accepted_by, accepted_why)) as accepted_why
    from failures
    where over_days <> 'share'
    group by check_name, over_days, site_id, meter_id, period_from
),

-- The detail of a day says how many intervals it is of.
shares as (
    select
        failures.check_name,
        measures.site_id,
        measures.meter_id,
        measures.period_from,
        sum(failures.detail::integer) / max(measures.intervals_present)::double as measured
    from failures
    inner join {{ ref('int_period_measures') }} as measures
        on measures.site_id = failures.site_id
        and measures.meter_id = failures.meter_id
        and measures.period_from = failures.period_from
    where failures.over_days = 'share'
    group by failures.check_name, measures.site_id, measures.meter_id, measures.period_from
)

select
    check_name,
    site_id,
    meter_id,
    period_from,
    measured,
    false as has_passed,
    detail,
    -- A detail that begins with the day has said it.
    case
        when days > 1 then ', on ' || days || ' days from ' || first_failed_on || ' to ' || last_failed_on
        when starts_with(detail, first_failed_on::varchar) then ''
        else ', on ' || first_failed_on
    end as on_days,
    case when is_accepted then accepted_by end as accepted_by,
    case when is_accepted then accepted_why end as accepted_why
from sums
union all
select check_name, site_id, meter_id, period_from, measured, null, null, '', null, null
from shares
