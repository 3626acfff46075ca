with

sites as (
    select distinct site, site_id, zone
    from {{ ref('metering_points') }}
)

select
    sites.site,
    sites.site || ' · ' || case
        when count(*) over (partition by sensors.site_id, sensors.sensor_name, sensors.sensor_type, readings.read_at_utc) = 1
            then concat_ws(' ', sensors.sensor_name, '(' || sensors.sensor_type || ')')
        else concat_ws(' ', sensors.sensor_name, '(' || sensors.sensor_id || ')')
    end as sensor,
    sensors.sensor_type,
    roles.sensor_role,
    readings.read_at_utc at time zone sites.zone as local_read_at,
    readings.local_date,
    readings.reading,
    sensors.unit,
    readings.read_at_utc,
    readings.site_id,
    readings.sensor_id
from {{ ref('sensor_readings') }} as readings
inner join {{ ref('sensors') }} as sensors using (site_id, sensor_id)
inner join sites using (site_id)
left join {{ ref('sensor_roles') }} as roles using (site_id, sensor_id)
