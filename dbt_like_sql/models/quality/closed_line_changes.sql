{{ config(materialized='table', order_by='billing_month, site_id, billing_point, meter_id') }}

-- What occupants were billed for, then and now: a moved date changes two lines and no meter. Versions that were frozen
-- without lines say nothing about them. What is excluded is billed as nothing.
with

closings as (
    select *
    from {{ ref('billing_closings') }}
    where is_closed and list_contains(frozen_columns, 'lines')
),

closed_lines as (
    select
        rows_then.site_id,
        rows_then.billing_month,
        rows_then.meter_id,
        unnest(rows_then.lines) as line
    from {{ source('pipeline', 'closed_rows') }} as rows_then
    semi join closings using (site_id, billing_month, version)
    where not coalesce(rows_then.was_excluded, false)
),

both_times as (
    select
        site_id,
        billing_month,
        meter_id,
        line.billing_point as billing_point,
        line.occupant as occupant,
        true as is_closed_one,
        line.total as total,
        line.solar as solar,
        line.grid as grid
    from closed_lines
    union all
    select
        lines.site_id,
        lines.period_from,
        lines.meter_id,
        lines.billing_point,
        lines.occupant,
        false,
        lines.total,
        lines.solar,
        lines.grid
    from {{ ref('int_line_parts') }} as lines
    inner join closings
        on closings.site_id = lines.site_id
        and closings.billing_month = lines.period_from
    where not lines.is_excluded
),

compared as (
    select
        site_id,
        billing_month,
        meter_id,
        billing_point,
        occupant,
        quantity,
        sum(value) filter (where is_closed_one)::decimal(18, 6) as closed_value,
        sum(value) filter (where not is_closed_one)::decimal(18, 6) as current_value
    from both_times
    unpivot include nulls (value for quantity in (total, solar, grid))
    group by all
)

select
    compared.site_id,
    compared.billing_month,
    closings.version,
    compared.meter_id,
    compared.billing_point,
    compared.occupant,
    compared.quantity,
    compared.closed_value,
    compared.current_value
from compared
inner join closings using (site_id, billing_month)
where compared.closed_value is distinct from compared.current_value
