select
    points.site,
    points.meter,
    points.meter_type,
    points.meter_role,
    intervals.interval_start_utc at time zone points.zone as local_start,
    intervals.local_date,
    {{ minutes_between('intervals.interval_start_utc', 'intervals.interval_end_utc') }} as minutes,
    case when points.unit = 'kWh' then {{ quantity('intervals.total') }} end as energy_kwh,
    case when points.unit = 'kWh' then {{ power_kw('intervals.total', 'intervals') }} end as power_kw,
    {{ quantity('intervals.solar') }} as solar_kwh,
    {{ quantity('intervals.grid') }} as grid_kwh,
    case when points.unit = 'm3' then {{ quantity('intervals.total') }} end as volume_m3,
    points.unit,
    intervals.interval_start_utc,
    points.site_id,
    points.meter_id
from {{ ref('meter_intervals') }} as intervals
inner join {{ ref('metering_points') }} as points using (site_id, meter_id)
