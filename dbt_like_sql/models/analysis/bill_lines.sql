select
    points.site,
    points.flat,
    coalesce(lines.occupant, case when lines.is_vacant then 'owner (vacant)' end) as occupant,
    lines.meter_type,
    lines.billing_month,
    lines.line_from,
    lines.line_until,
    lines.billable_total,
    lines.billable_solar,
    lines.billable_grid,
    lines.unit,
    lines.index_start,
    lines.index_end,
    lines.grade,
    nullif(array_to_string(lines.reasons || lines.warnings, ' | '), '') as remark,
    points.meter,
    points.site_id,
    points.meter_id
from {{ ref('billing_lines_monthly') }} as lines
inner join {{ ref('metering_points') }} as points using (site_id, meter_id)
