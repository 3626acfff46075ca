{{ config(order_by='billing_month, site_id, meter_id, local_date, check_name') }}

with

measured as (
    select * from {{ ref('int_arrival_checks_daily') }}
    union all
    select * from {{ ref('int_value_checks_daily') }}
    union all
    select * from {{ ref('int_split_checks_daily') }}
    union all
    select * from {{ ref('int_register_checks_daily') }}
    union all
    select * from {{ ref('int_listing_checks_daily') }}
),

-- What is judged as a share of the period has a row for each day with a part of it.
found as (
    select
        measured.*,
        checks.severity,
        checks.tolerance,
        checks.tolerance_unit,
        checks.sentence
    from measured
    inner join {{ ref('data_quality_checks') }} as checks using (check_name)
    where measured.measured > case when checks.over_days = 'share' then 0 else checks.tolerance end
),

decided as (
    select
        found.*,
        min(acceptances.accepted_by) as accepted_by,
        min_by(acceptances.accepted_why, (acceptances.accepted_by, acceptances.accepted_why)) as accepted_why
    from found
    left join {{ ref('acceptances') }} as acceptances
        on acceptances.check_name = found.check_name
        and acceptances.site_id = found.site_id
        and (acceptances.meter_id is null or acceptances.meter_id = found.meter_id)
        and found.local_date between acceptances.first_day and acceptances.last_day
    group by all
)

select
    check_name,
    site_id,
    meter_id,
    local_date,
    billing_month,
    severity,
    least(measured, 1e9)::decimal(18, 6) as measured,
    tolerance,
    tolerance_unit,
    decided.measured <= tolerance as passed,
    check_name as reason_code,
    {{ sentence_of('sentence', 'decided.measured', 'detail') }} as reason,
    detail,
    accepted_by,
    accepted_why
from decided
