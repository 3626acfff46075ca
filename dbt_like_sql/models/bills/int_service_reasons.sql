{{ config(materialized='by_month') }}

-- What the user's files say of the days of a period, as reasons of the bill.
with

exclusion_sentences as (
    select
        measures.site_id,
        measures.meter_id,
        measures.period_from,
        min(exclusions.reason || ' (' || exclusions.decided_by || ')') as sentence
    from {{ ref('int_period_measures') }} as measures
    inner join {{ ref('exclusions') }} as exclusions
        on exclusions.site_id = measures.site_id
        and exclusions.meter_id = measures.meter_id
        and exclusions.first_day <= measures.period_until
        and exclusions.last_day >= measures.period_from
    where measures.days_excluded > 0
    group by measures.site_id, measures.meter_id, measures.period_from
)

select
    site_id,
    meter_id,
    period_from,
    case when measures.days_excluded > 0 then ['excluded: ' || case
        when measures.is_excluded then ''
        else measures.days_excluded || ' of ' || measures.days_excluded + measures.days_due || ' days, '
    end || coalesce(exclusion_sentences.sentence, 'by decision')] else [] end
    || case when measures.days_due is null then ['not_in_service: no day of the period, by meters.csv'] else [] end
    || case when measures.days_out_of_service > 0 then [
        'out_of_service: ' || {{ number_of('measures.days_out_of_service', 'day', 'days') }}
        || ' with values other than 0, by meters.csv'
    ] else [] end
    || case when measures.is_billed and measures.days_unbilled > 0 then [
        'not_billed: ' || {{ number_of('measures.days_unbilled', 'day', 'days') }}
        || ' with values, by meters.csv or for what the meter was listed as then'
    ] else [] end as service_reasons
from {{ ref('int_period_measures') }} as measures
left join exclusion_sentences using (site_id, meter_id, period_from)
