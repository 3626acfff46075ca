select
    points.site,
    points.meter,
    points.flat,
    bills.meter_type,
    bills.meter_role,
    bills.billing_month,
    bills.total,
    bills.solar as solar_kwh,
    bills.grid as grid_kwh,
    bills.unit,
    bills.index_start,
    bills.index_end,
    bills.completeness,
    bills.grade,
    nullif(array_to_string(bills.reasons || bills.warnings, ' | '), '') as remark,
    points.site_id,
    points.meter_id
from {{ ref('billing_monthly') }} as bills
inner join {{ ref('metering_points') }} as points using (site_id, meter_id)
