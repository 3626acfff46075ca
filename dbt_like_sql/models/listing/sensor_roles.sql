-- Lines of sensors.csv by the ids that the data have. A name counts where no other sensor of the site has it; of two
-- lines for one sensor the first in the alphabet.
with

site_names as (
    select site_id, site_id as called from {{ ref('sites') }}
    union
    select any_value(site_id), site_name from {{ ref('sites') }}
    group by site_name
    having count(*) = 1
),

sensor_names as (
    select site_id, sensor_id, sensor_id as called from {{ ref('sensors') }}
    union
    select site_id, sensor_id, unnest([sensor_name, concat_ws(' ', sensor_name, '(' || sensor_type || ')')])
    from {{ ref('sensors') }}
),

known_names as (
    select *
    from sensor_names
    qualify count(*) over (partition by site_id, called) = 1
)

select
    sensors.site_id,
    sensors.sensor_id,
    min(lines.sensor_role) as sensor_role
from {{ source('pipeline', 'sensor_roles') }} as lines
inner join site_names as sites on sites.called = lines.site
inner join known_names as sensors
    on sensors.site_id = sites.site_id
    and sensors.called = lines.sensor
group by sensors.site_id, sensors.sensor_id
