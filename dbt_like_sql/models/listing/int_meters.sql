-- Rows of days repeat these columns: when a known meter is another, all days are built anew.
{{ config(repeated_by_days=true) }}

with

meter_ids as (
    select site_id, meter_id from {{ ref('meters') }}
    union
    select site_id, subject_id
    from {{ ref('coverage_days') }}
    where dataset in ('meter_intervals', 'meter_indices')
),

-- A meter that is listed as something else now was a consumer in the months before.
consumers as (
    select distinct
        site_id,
        meter_id
    from {{ ref('meter_kinds') }}
    where has_split
)

select
    site_id,
    meter_id,
    zones.zone,
    consumers.meter_id is not null as has_split,
    coalesce(meters.is_rule_meter, false) as is_rule_meter,
    kinds.usual_register,
    case when meters.meter_mode = 'production' then sites.latitude end as plant_latitude,
    case when meters.meter_mode = 'production' then sites.longitude end as plant_longitude
from meter_ids
inner join {{ ref('int_site_zones') }} as zones using (site_id)
left join {{ ref('meters') }} as meters using (site_id, meter_id)
left join {{ ref('meter_kinds') }} as kinds
    on kinds.site_id = meters.site_id
    and kinds.meter_id = meters.meter_id
    and kinds.last_day = date '9999-12-31'
left join consumers using (site_id, meter_id)
left join {{ ref('sites') }} as sites using (site_id)
