{{ config(materialized='view') }}

-- Failures of days, and whether the day is excluded while others of the period count: what shows on it has no part in
-- their grade. What is wrong with the site as a whole has none on days that are excluded for all of it.
select
    failures.*,
    exists (
        select 1
        from {{ ref('exclusions') }} as exclusions
        where
            exclusions.site_id = failures.site_id
            and (exclusions.meter_id = failures.meter_id or (failures.meter_id is null and exclusions.is_of_site))
            and failures.local_date between exclusions.first_day and exclusions.last_day
    )
    and (failures.meter_id is null or coalesce(measures.days_excluded > 0 and not measures.is_excluded, false))
        as is_off_bill
from {{ ref('int_period_failures') }} as failures
left join {{ ref('int_period_measures') }} as measures
    on measures.site_id = failures.site_id
    and measures.meter_id = failures.meter_id
    and measures.period_from = failures.period_from
