{{ config(materialized='view') }}

-- What failed, for each meter whose grade it is a part of. A failure of the site as a whole is one of every meter whose
-- energy is split there; what is of the site alone is told there, once.
with

-- Under another scheme than the provider's, unequal shares are no news of any one meter.
other_schemes as (
    select site_id, period_from
    from {{ ref('int_graded_checks') }}
    where check_name = 'split_scheme' and not passed
)

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
