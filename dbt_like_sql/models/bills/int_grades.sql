{{ config(materialized='by_month') }}

with

-- Under another scheme than the provider's, unequal shares are no news of any one meter.
other_schemes as (
    select site_id, period_from
    from {{ ref('int_graded_checks') }}
    where check_name = 'split_scheme' and not passed
),

-- A failure of the site as a whole is one of every meter whose energy is split there.
failures as (
    select
        measures.site_id,
        measures.meter_id,
        measures.period_from,
        checked.severity,
        checked.is_accepted,
        checked.reason_code || ': ' || checked.reason as sentence,
        known.position,
        known.is_always_reason,
        known.waits_last
    from {{ ref('int_period_measures') }} as measures
    inner join {{ ref('int_graded_checks') }} as checked
        on checked.site_id = measures.site_id
        and checked.period_from = measures.period_from
        and (checked.meter_id = measures.meter_id or (checked.meter_id is null and measures.has_split))
    -- What is of the site alone is told there, once.
    inner join {{ ref('data_quality_checks') }} as known
        on known.check_name = checked.check_name
        and known.applies_to <> 'site alone'
    left join other_schemes
        on checked.check_name = 'equal_autonomy'
        and other_schemes.site_id = measures.site_id
        and other_schemes.period_from = measures.period_from
    left join {{ ref('int_spared_checks') }} as spared
        on spared.site_id = measures.site_id
        and spared.meter_id = measures.meter_id
        and spared.period_from = measures.period_from
        and spared.check_name = checked.check_name
        and checked.meter_id is null
    where not checked.passed and spared.site_id is null and other_schemes.site_id is null
),

verdicts as (
    select
        site_id,
        meter_id,
        period_from,
        bool_or(severity = 'waits' and not is_accepted and not waits_last) as has_to_wait,
        bool_or(severity = 'blocks' and not is_accepted) as is_blocked,
        bool_or(waits_last and not is_accepted) as waits_at_last,
        bool_or(is_always_reason) as is_estimated,
        list(sentence order by position, sentence) filter (
            where (severity <> 'warns' and not waits_last) or is_always_reason or is_accepted
        ) as reasons,
        list(sentence order by position, sentence) filter (where waits_last and not is_accepted) as last_reasons,
        -- What is among the reasons is no warning as well.
        list(sentence order by position, sentence) filter (
            where severity = 'warns' and not is_always_reason and not is_accepted
        ) as warnings
    from failures
    group by site_id, meter_id, period_from
)

select
    measures.site_id,
    measures.meter_id,
    measures.period_from,
    case
        when verdicts.has_to_wait then 'provisional'
        when verdicts.is_blocked then 'blocked'
        when verdicts.waits_at_last then 'provisional'
        when verdicts.is_estimated then 'ready_with_estimates'
        else 'ready'
    end as grade,
    coalesce(verdicts.reasons, [])
    || case
        when not verdicts.has_to_wait and not verdicts.is_blocked then coalesce(verdicts.last_reasons, []) else []
    end as check_reasons,
    coalesce(verdicts.warnings, []) as warnings
from {{ ref('int_period_measures') }} as measures
left join verdicts
    on verdicts.site_id = measures.site_id
    and verdicts.meter_id = measures.meter_id
    and verdicts.period_from = measures.period_from
