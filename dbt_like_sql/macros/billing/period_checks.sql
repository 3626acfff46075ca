{# The rows of checks on whole periods, with who accepted a failure, and why. A decision has to name the whole period. #}
{% macro with_decisions(rows) -%}
    select
        {{ rows }}.* exclude (period_until),
        decided.accepted_by,
        decided.accepted_why
    from {{ rows }}
    left join (
        select
            judged.check_name,
            judged.site_id,
            judged.meter_id,
            judged.period_from,
            min(decisions.decided_by) as accepted_by,
            min_by(decisions.reason, (decisions.decided_by, decisions.reason)) as accepted_why
        from {{ rows }} as judged
        inner join {{ ref('decisions') }} as decisions
            on decisions.action = 'accept'
            and decisions.check_name = judged.check_name
            and decisions.site_id = judged.site_id
            and (decisions.meter_id is null or decisions.meter_id = judged.meter_id)
            and decisions.first_day <= judged.period_from
            and decisions.last_day >= judged.period_until
        group by judged.check_name, judged.site_id, judged.meter_id, judged.period_from
    ) as decided
        on decided.check_name = {{ rows }}.check_name
        and decided.site_id = {{ rows }}.site_id
        and decided.meter_id is not distinct from {{ rows }}.meter_id
        and decided.period_from = {{ rows }}.period_from
{%- endmacro %}

{#
  CTE `checked`: one row per period and check that applies, from `measures`, `period_failures` (rows of data_quality_daily
  with their `period_from`) and `decisions`. A check passes when what it measures is within its tolerance.
#}
{% macro period_checks() -%}
{{ checks_of_periods() }},

{{ checks_of_days() }},

{{ checks_of_sites() }},

unconfirmed as (
    select
        checks.check_name,
        reconciled.site_id,
        reconciled.meter_id,
        reconciled.period_from,
        reconciled.period_until,
        checks.severity,
        case
            when
                reconciled.bounds_error <= index_checks.tolerance
                and reconciled.index_error <= index_checks.tolerance
                and reconciled.is_index_sharp
                then 0
            else reconciled.days_unconfirmed
        end::decimal(18, 6) as measured,
        checks.tolerance,
        checks.tolerance_unit,
        {{ number_of('reconciled.days_unconfirmed', 'day was', 'days were') }}
        || ' not confirmed by a second equal answer after the month; ' || case
            when reconciled.is_gone then 'the meter is no longer listed and cannot be asked again'
            else
                'run climkit backfill ' || reconciled.period_from || ' ' || reconciled.period_until || ' --site '
                || reconciled.site_id || ' --dataset meter_intervals --refetch'
        end as reason
    from reconciled
    inner join {{ ref('data_quality_checks') }} as checks on checks.check_name = 'not_confirmed'
    inner join {{ ref('data_quality_checks') }} as index_checks on index_checks.check_name = 'index_difference'
    where
        reconciled.is_over
        and reconciled.days_not_asked = 0
        and reconciled.days_open = 0
        and reconciled.days_too_young = 0
        and reconciled.days_over > 0
),

confirmations as (
    select
        check_name, site_id, meter_id, period_from, period_until, severity, measured, tolerance, tolerance_unit,
        measured <= tolerance as passed, reason
    from unconfirmed
),

own_rows as (
    {{ with_decisions('period_rows') }}
    union all
    {{ with_decisions('site_rows') }}
    union all
    select * from day_rows
    union all
    {{ with_decisions('confirmations') }}
),

{{ checks_of_siblings() }},

all_rows as (
    select * from own_rows
    union all
    {{ with_decisions('spoilt_rows') }}
),

-- What nobody can accept stays as it is, whatever was decided.
decided_rows as (
    select
        all_rows.* exclude (accepted_by, accepted_why),
        case when checks.accepted_for <> 'never' then all_rows.accepted_by end as accepted_by,
        case when checks.accepted_for <> 'never' then all_rows.accepted_why end as accepted_why
    from all_rows
    inner join {{ ref('data_quality_checks') }} as checks on checks.check_name = all_rows.check_name
),

-- The sentence that goes to the clerk; an accepted failure names who accepted it, and why.
checked as (
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
            reason || case
                when accepted_by is not null then ' (accepted by ' || accepted_by || ': ' || accepted_why || ')' else ''
            end
        end as reason,
        not passed and accepted_by is not null as is_accepted,
        accepted_by,
        accepted_why
    from decided_rows
)
{%- endmacro %}
