{{ config(watch='site_id, meter_id, step, usual_readings') }}

-- The step that a meter's index is stated in is one for all its days.
select
    site_id,
    meter_id,
    max(step) as step,
    max(usual_readings) as usual_readings
from {{ ref('int_registers') }}
where series_kind = 'index' and register in (usual_register, 'import', 'export')
group by site_id, meter_id
order by site_id, meter_id
