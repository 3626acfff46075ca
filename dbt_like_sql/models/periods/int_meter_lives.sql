{{ config(materialized='table') }}

with

-- What brought no value, or was never asked for, is counted in the lengths in which there were values.
values_of_meters as (
    select
        site_id,
        meter_id,
        coalesce(
            max_by(interval_minutes, local_date) filter (where intervals_present > 0),
            max_by(interval_minutes, local_date)
        ) as usual_interval_minutes,
        min(local_date) filter (where intervals_present > 0) as first_value_on,
        max(local_date) filter (where intervals_present > 0) as last_value_on
    from {{ ref('meter_days') }}
    group by site_id, meter_id
),

-- Past days get the first list that was read after them; one read within two days is that of the day, in any zone.
first_lists as (
    select
        site_id,
        meter_id,
        min(local_date) as named_from
    from {{ ref('int_listed_meters_daily') }}
    where epoch_us(fetched_at_utc) < epoch_us((local_date + 2)::timestamp)
    group by site_id, meter_id
)

select
    site_id,
    meter_id,
    meters.zone,
    coalesce(values_of_meters.usual_interval_minutes, 15) as usual_interval_minutes,
    values_of_meters.first_value_on,
    values_of_meters.last_value_on,
    first_lists.named_from,
    coalesce(listed.is_listed, false) as is_listed_now
from {{ ref('int_meters') }} as meters
left join values_of_meters using (site_id, meter_id)
left join first_lists using (site_id, meter_id)
left join {{ ref('meters') }} as listed using (site_id, meter_id)
