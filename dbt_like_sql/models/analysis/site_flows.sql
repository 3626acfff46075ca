with

sites as (
    select distinct site, site_id, zone
    from {{ ref('metering_points') }}
),

charge_points as (
    select site_id, interval_start_utc, interval_end_utc, local_date, consumption
    from {{ ref('site_intervals') }}
    where meter_type = 'charge_point'
)

select
    sites.site,
    flows.interval_start_utc at time zone sites.zone as local_start,
    flows.local_date,
    {{ minutes_between('flows.interval_start_utc', 'flows.interval_end_utc') }} as minutes,
    {{ quantity('flows.consumption') }} as consumption_kwh,
    {{ quantity('charge_points.consumption') }} as charge_points_kwh,
    {{ quantity('flows.consumption') }} - coalesce({{ quantity('charge_points.consumption') }}, 0) as other_consumption_kwh,
    {{ quantity('flows.production') }} as production_kwh,
    {{ quantity('flows.self_consumption') }} as self_consumption_kwh,
    {{ quantity('flows.grid_import') }} as grid_import_kwh,
    {{ quantity('flows.grid_export') }} as grid_export_kwh,
    {{ power_kw('flows.consumption', 'flows') }} as consumption_kw,
    {{ power_kw('flows.production', 'flows') }} as production_kw,
    {{ power_kw('flows.grid_import', 'flows') }} as grid_import_kw,
    {{ power_kw('flows.grid_export', 'flows') }} as grid_export_kw,
    flows.interval_start_utc,
    flows.site_id
from {{ ref('site_intervals') }} as flows
inner join sites using (site_id)
left join charge_points using (site_id, interval_start_utc, interval_end_utc, local_date)
where flows.meter_type = 'electricity'
