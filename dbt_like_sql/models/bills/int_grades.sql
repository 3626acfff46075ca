{{ config(materialized='by_month') }}

with

verdicts as (
    select
        site_id,
        meter_id,
        period_from,
        {{ grade_of() }} as grade,
        {{ reasons_of() }} as check_reasons,
        {{ warnings_of() }} as warnings
    from {{ ref('int_graded_failures') }}
    group by site_id, meter_id, period_from
)

select
    measures.site_id,
    measures.meter_id,
    measures.period_from,
    coalesce(verdicts.grade, 'ready') as grade,
    coalesce(verdicts.check_reasons, []) as check_reasons,
    coalesce(verdicts.warnings, []) as warnings
from {{ ref('int_period_measures') }} as measures
left join verdicts
    on verdicts.site_id = measures.site_id
    and verdicts.meter_id = measures.meter_id
    and verdicts.period_from = measures.period_from
