{{ config(materialized='by_month') }}

-- Checks of the site's days that failed on none but days that are excluded for a meter.
select
    measures.site_id,
    measures.meter_id,
    measures.period_from,
    of_site.check_name
from {{ ref('int_period_measures') }} as measures
inner join {{ ref('int_period_failures') }} as of_site
    on of_site.site_id = measures.site_id
    and of_site.period_from = measures.period_from
    and of_site.meter_id is null
left join {{ ref('exclusions') }} as exclusions
    on exclusions.site_id = measures.site_id
    and exclusions.meter_id = measures.meter_id
    and of_site.local_date between exclusions.first_day and exclusions.last_day
where measures.days_excluded > 0
group by measures.site_id, measures.meter_id, measures.period_from, of_site.check_name
having bool_and(exclusions.site_id is not null)
