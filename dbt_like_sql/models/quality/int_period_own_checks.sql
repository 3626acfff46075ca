{{ config(order_by='period_from, site_id, meter_id, check_name') }}

-- What a period shows by itself, judged. A check passes when what it measures is within its tolerance.
with

of_periods as (
    select * from {{ ref('int_period_arrival_checks') }}
    union all
    select * from {{ ref('int_period_register_checks') }}
    union all
    select check_name, site_id, meter_id, period_from, measured, has_passed, detail
    from {{ ref('int_period_site_checks') }}
),

measured as (
    select
        of_periods.*,
        '' as on_days,
        accepted.accepted_by,
        accepted.accepted_why
    from of_periods
    left join {{ ref('int_period_acceptances') }} as accepted
        on accepted.check_name = of_periods.check_name
        and accepted.site_id = of_periods.site_id
        and accepted.meter_id is not distinct from of_periods.meter_id
        and accepted.period_from = of_periods.period_from
    where of_periods.measured is not null
    union all
    select * from {{ ref('int_period_day_checks') }}
)

select
    check_name,
    measured.site_id,
    measured.meter_id,
    measured.period_from,
    checks.severity,
    measured.measured::decimal(18, 6) as measured,
    checks.tolerance,
    checks.tolerance_unit,
    coalesce(measured.has_passed, measured.measured <= coalesce(checks.tolerance, 0)) as passed,
    case
        when not passed then {{ sentence_of(
            'checks.sentence', 'measured.measured::decimal(18, 6)', 'measured.detail', 'measured.on_days',
            share='measured.measured'
        ) }}
    end as sentence,
    measured.accepted_by,
    measured.accepted_why
from measured
inner join {{ ref('data_quality_checks') }} as checks using (check_name)
