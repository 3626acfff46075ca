-- From midnight to five nobody cooks or showers: what runs then runs all day. Only intervals of an hour or less tell.
select
    site,
    meter,
    meter_type,
    local_date,
    sum(energy_kwh)::decimal(18, 6) as energy_kwh,
    min(power_kw) as lowest_kw,
    avg(power_kw) as mean_kw,
    sum(volume_m3)::decimal(18, 6) as volume_m3,
    min(volume_m3 * 60000 / minutes)::double as lowest_litres_per_hour,
    min(coalesce(energy_kwh, volume_m3)) > 0 as never_stopped,
    (sum(minutes) / 60.0)::double as hours_measured,
    site_id,
    meter_id
from {{ ref('meter_flows') }}
where
    meter_role = 'consumer'
    and hour(local_start) < 5
    and minutes <= 60
group by all
