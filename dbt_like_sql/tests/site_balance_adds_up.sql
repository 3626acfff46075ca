-- consumption = self-consumption + grid import and production = self-consumption + grid export, as the provider defines
-- them, where the site has no storage. Tolerance as in split_adds_up. Only changed days.
{{ config(severity='warn') }}

select
    site_id,
    meter_type,
    local_date,
    count(*) as intervals_found
from {{ ref('site_intervals') }}
where
    {{ is_of_changed_day(['site_intervals']) }}
    and coalesce(storage_charge, 0) = 0
    and coalesce(storage_discharge, 0) = 0
    and (
        abs(consumption - self_consumption - grid_import) > 0.0015
        or abs(production - self_consumption - grid_export) > 0.0015
    )
group by site_id, meter_type, local_date
