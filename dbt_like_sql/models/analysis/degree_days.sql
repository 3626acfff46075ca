-- Heating degree days as Switzerland counts them (SIA 381/3, HGT 20/12): on a day whose mean is 12 °C or less, what it
-- lacks to 20 °C. Hours count alike, however often the sensor spoke in each.
with

sites as (
    select distinct site, site_id
    from {{ ref('metering_points') }}
),

hours as (
    select
        site_id,
        local_date,
        -- A reading at the full hour belongs to the hour that ends then.
        time_bucket(interval 1 hour, read_at_utc - interval 1 microsecond) as hour_utc,
        avg(reading) as temperature
    from {{ ref('sensor_readings') }}
    inner join {{ ref('sensor_roles') }} as roles using (site_id, sensor_id)
    where roles.sensor_role = 'outdoor_temperature' and reading between -60 and 60
    group by all
),

days as (
    select
        site_id,
        local_date,
        avg(temperature) as mean_c,
        min(temperature) as lowest_hour_c,
        max(temperature) as highest_hour_c,
        count(*)::integer as hours_measured
    from hours
    group by site_id, local_date
)

select
    sites.site,
    local_date,
    round(mean_c, 3) as mean_c,
    round(lowest_hour_c, 3) as lowest_hour_c,
    round(highest_hour_c, 3) as highest_hour_c,
    case when hours_measured >= 20 then case when mean_c <= 12 then round(20 - mean_c, 3) else 0 end end
        as heating_degree_days,
    hours_measured,
    site_id
from days
inner join sites using (site_id)
