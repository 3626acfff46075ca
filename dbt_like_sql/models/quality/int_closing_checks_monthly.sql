{{ config(materialized='view') }}

-- What was closed and is different now: the invoice says something else. A value that came or went counts as 1,
-- whatever it is. Where the meter measured the same, an occupant may be billed for another part of it.
with

meter_changes as (
    select
        site_id,
        meter_id,
        billing_month,
        max(coalesce(abs(current_value - closed_value), 1)) as measured,
        string_agg(
            quantity || ' ' || coalesce({{ quantity_of('closed_value', 'unit') }}, 'nothing')
            || ' (now ' || coalesce({{ quantity_of('current_value', 'unit') }}, 'nothing') || ')',
            ', '
            order by position
        ) as detail
    from {{ ref('closed_changes') }}
    group by site_id, meter_id, billing_month
),

line_changes as (
    select
        lines.site_id,
        lines.meter_id,
        lines.billing_month,
        max(coalesce(abs(lines.current_value - lines.closed_value), 1)) as measured,
        string_agg(
            'total ' || coalesce({{ quantity_of('lines.closed_value', 'measures.unit') }}, 'nothing')
            || ' (now ' || coalesce({{ quantity_of('lines.current_value', 'measures.unit') }}, 'nothing')
            || ') for ' || coalesce(lines.occupant, 'the owner'),
            ', '
            order by lines.billing_point, lines.occupant
        ) filter (where lines.quantity = 'total') as detail
    from {{ ref('closed_line_changes') }} as lines
    inner join {{ ref('meter_month_measures') }} as measures
        on measures.site_id = lines.site_id
        and measures.meter_id = lines.meter_id
        and measures.period_from = lines.billing_month
    group by lines.site_id, lines.meter_id, lines.billing_month
)

select
    'changed_after_closing' as check_name,
    measures.site_id,
    measures.meter_id,
    measures.period_from as billing_month,
    coalesce(meter_changes.measured, line_changes.measured, 0)::decimal(18, 6) as measured,
    coalesce(meter_changes.detail, line_changes.detail) as detail
from {{ ref('meter_month_measures') }} as measures
inner join {{ ref('billing_closings') }} as closings
    on closings.site_id = measures.site_id
    and closings.billing_month = measures.period_from
    and closings.is_closed
left join meter_changes
    on meter_changes.site_id = measures.site_id
    and meter_changes.meter_id = measures.meter_id
    and meter_changes.billing_month = measures.period_from
left join line_changes
    on line_changes.site_id = measures.site_id
    and line_changes.meter_id = measures.meter_id
    and line_changes.billing_month = measures.period_from
