with

sites as (
    select distinct site, site_id
    from {{ ref('metering_points') }}
),

charge_points as (
    select site_id, local_date, consumption
    from {{ ref('site_days') }}
    where meter_type = 'charge_point'
)

-- A share has no meaning where nothing flows, nor where coarse registers or a store make a part larger than the whole.
select
    sites.site,
    local_date,
    days.consumption as consumption_kwh,
    charge_points.consumption as charge_points_kwh,
    (days.consumption - coalesce(charge_points.consumption, 0))::decimal(18, 6) as other_consumption_kwh,
    days.production as production_kwh,
    days.self_consumption as self_consumption_kwh,
    days.grid_import as grid_import_kwh,
    days.grid_export as grid_export_kwh,
    case when days.self_consumption between 0 and days.consumption then days.self_consumption / nullif(days.consumption, 0)
        end::double as autonomy_rate,
    case when days.self_consumption between 0 and days.production then days.self_consumption / nullif(days.production, 0)
        end::double as self_consumption_rate,
    case when days.intervals_expected > 0 then least(1.0, days.intervals_present / days.intervals_expected) end::double
        as completeness,
    site_id
from {{ ref('site_days') }} as days
inner join sites using (site_id)
left join charge_points using (site_id, local_date)
where days.meter_type = 'electricity'
