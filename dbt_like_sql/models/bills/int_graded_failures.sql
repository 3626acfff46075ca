{{ config(materialized='view') }}

-- What failed, for each meter whose grade it is a part of. A failure of the site as a whole is one of every meter whose
-- energy is split there; what is of the site alone is told there, once.
select
    measures.site_id,
    measures.meter_id,
    measures.period_from,
    checked.check_name,
    checked.meter_id as failed_meter_id,
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
inner join {{ ref('data_quality_checks') }} as known
    on known.check_name = checked.check_name
    and known.applies_to <> 'site alone'
left join {{ ref('int_graded_checks') }} as beside
    on beside.check_name = known.no_news_beside
    and beside.site_id = measures.site_id
    and beside.period_from = measures.period_from
    and not beside.passed
left join {{ ref('int_spared_checks') }} as spared
    on spared.site_id = measures.site_id
    and spared.meter_id = measures.meter_id
    and spared.period_from = measures.period_from
    and spared.check_name = checked.check_name
    and checked.meter_id is null
where not checked.passed and spared.site_id is null and beside.site_id is null
