{{ config(order_by='billing_month, site_id, meter_id, check_name') }}

with

-- What only months have.
of_months as (
    select * from {{ ref('int_closing_checks_monthly') }}
    union all
    select *
    from {{ ref('int_last_year_checks_monthly') }}
    where measured is not null
    union all
    select *
    from {{ ref('int_stated_month_checks_monthly') }}
    where measured is not null
),

judged as (
    select
        check_name,
        period_checks.* exclude (check_name, period_from),
        period_checks.period_from as billing_month
    from {{ ref('int_period_checks') }} as period_checks
    union all by name
    select
        check_name,
        of_months.* exclude (check_name, detail),
        checks.severity,
        checks.tolerance,
        checks.tolerance_unit,
        of_months.measured <= checks.tolerance as passed,
        check_name as reason_code,
        case
            when of_months.measured > checks.tolerance
                then {{ sentence_of('checks.sentence', 'of_months.measured', 'of_months.detail') }}
        end as reason,
        false as is_accepted
    from of_months
    inner join {{ ref('data_quality_checks') }} as checks using (check_name)
)

select
    check_name,
    site_id,
    judged.meter_id,
    judged.billing_month,
    case
        when once_passed.since < judged.billing_month then 'blocks'
        else judged.severity
    end as severity,
    judged.measured,
    judged.tolerance,
    judged.tolerance_unit,
    judged.passed,
    judged.reason_code,
    judged.reason,
    judged.is_accepted,
    judged.accepted_by,
    judged.accepted_why
from judged
left join {{ ref('int_checks_once_passed') }} as once_passed using (check_name, site_id)
