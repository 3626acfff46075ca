with

meters as (
    select * from {{ ref('meters') }}
),

kinds as (
    select * from {{ ref('meter_kinds') }}
),

coverage as (
    select * from {{ ref('coverage_days') }}
),

zones as (
    select * from {{ ref('int_site_zones') }}
),

sites as (
    select * from {{ ref('sites') }}
),

asked as (
    select distinct
        site_id,
        subject_id as meter_id
    from coverage
    where dataset in ('meter_intervals', 'meter_indices')
),

meter_ids as (
    select site_id, meter_id from meters
    union
    select site_id, meter_id from asked
),

-- A meter that is listed as something else now was a consumer in the months before.
consumers as (
    select distinct
        site_id,
        meter_id
    from kinds
    where {{ has_split('meter_type', 'meter_mode') }}
),

final as (
    select
        meter_ids.site_id,
        meter_ids.meter_id,
        zones.zone,
        consumers.meter_id is not null as has_split,
        coalesce(meters.is_rule_meter, false) as is_rule_meter,
        {{ index_register('meters.meter_type', 'meters.meter_mode', 'meters.is_rule_meter') }} as usual_register,
        case when meters.meter_mode = 'production' then sites.latitude end as plant_latitude,
        case when meters.meter_mode = 'production' then sites.longitude end as plant_longitude
    from meter_ids
    inner join zones on zones.site_id = meter_ids.site_id
    left join meters
        on meters.site_id = meter_ids.site_id
        and meters.meter_id = meter_ids.meter_id
    left join consumers
        on consumers.site_id = meter_ids.site_id
        and consumers.meter_id = meter_ids.meter_id
    left join sites on sites.site_id = meter_ids.site_id
    order by meter_ids.site_id, meter_ids.meter_id
)

select * from final
