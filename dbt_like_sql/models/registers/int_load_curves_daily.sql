select
    site_id,
    meter_id,
    local_date,
    days.zone,
    days.day_end_utc as bound_utc,
    case when abs(days.readings_sum) < 1e10 then days.readings_sum end::decimal(18, 6) as load_curve_total,
    days.readings
from {{ ref('int_register_days') }} as days
inner join {{ ref('int_registers') }} as registers using (site_id, meter_id, register)
where registers.series_kind = 'interval' and register = registers.usual_register
order by site_id, meter_id, local_date
