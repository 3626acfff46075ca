{{ config(materialized='view') }}

-- What the provider works out of meters whose values are in doubt: the split of the site's consumers, and rule meters.
select
    'unsound_sibling' as check_name,
    measures.site_id,
    measures.meter_id,
    measures.period_from,
    count(*)::double as measured,
    string_agg(unsound.meter_name, ', ' order by unsound.meter_name) as detail
from {{ ref('int_period_measures') }} as measures
inner join {{ ref('int_unsound_meters') }} as unsound
    on unsound.site_id = measures.site_id
    and unsound.period_from = measures.period_from
    and unsound.meter_id <> measures.meter_id
    and (
        (measures.has_split and unsound.spoils_split)
        or (measures.is_rule_meter and unsound.carrier = measures.carrier)
    )
where measures.intervals_present > 0
group by measures.site_id, measures.meter_id, measures.period_from
