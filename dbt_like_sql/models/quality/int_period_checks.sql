{{ config(materialized='view') }}

-- The checks of a period, and the sentence that goes to the clerk; an accepted failure names who accepted it, and why.
with

judged as (
    select * from {{ ref('int_period_own_checks') }}
    union all
    select
        siblings.check_name,
        siblings.site_id,
        siblings.meter_id,
        siblings.period_from,
        checks.severity,
        siblings.measured::decimal(18, 6),
        checks.tolerance,
        checks.tolerance_unit,
        siblings.measured <= checks.tolerance,
        {{ sentence_of('checks.sentence', 'siblings.measured', 'siblings.detail') }},
        accepted.accepted_by,
        accepted.accepted_why
    from {{ ref('int_period_sibling_checks') }} as siblings
    inner join {{ ref('data_quality_checks') }} as checks on checks.check_name = siblings.check_name
    left join {{ ref('int_period_acceptances') }} as accepted
        on accepted.check_name = siblings.check_name
        and accepted.site_id = siblings.site_id
        and accepted.meter_id = siblings.meter_id
        and accepted.period_from = siblings.period_from
)

select
    check_name,
    site_id,
    meter_id,
    period_from,
    severity,
    measured,
    tolerance,
    tolerance_unit,
    passed,
    check_name as reason_code,
    case when not passed then
        sentence || case
            when accepted_by is not null then ' (accepted by ' || accepted_by || ': ' || accepted_why || ')' else ''
        end
    end as reason,
    not passed and accepted_by is not null as is_accepted,
    accepted_by,
    accepted_why
from judged
