-- The lines of every version, as they were frozen.
with

frozen as (
    select
        site_id,
        billing_month,
        version,
        meter_id,
        meter_name,
        meter_type,
        unit,
        coalesce(was_excluded, false) as was_excluded,
        unnest(lines) as line
    from {{ source('pipeline', 'closed_rows') }}
)

select
    frozen.site_id,
    frozen.billing_month,
    frozen.version,
    closings.is_closed,
    frozen.line.billing_point,
    frozen.line.occupant,
    frozen.line.is_vacant,
    frozen.meter_id,
    frozen.meter_name,
    frozen.meter_type,
    frozen.unit,
    frozen.line.line_from,
    frozen.line.line_until,
    frozen.line.total,
    frozen.line.solar,
    frozen.line.grid,
    frozen.line.billable_total,
    frozen.line.billable_solar,
    frozen.line.billable_grid,
    frozen.line.index_start,
    frozen.line.index_end,
    frozen.line.grade,
    frozen.line.reasons,
    frozen.was_excluded
from frozen
inner join {{ ref('billing_closings') }} as closings using (site_id, billing_month, version)
