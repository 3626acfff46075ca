{{ config(materialized='view') }}

-- What was closed and is different now: the invoice says something else. A value that came or went counts as 1,
-- whatever it is.
with

changes as (
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
)

select
    'changed_after_closing' as check_name,
    measures.site_id,
    measures.meter_id,
    measures.period_from as billing_month,
    coalesce(changes.measured, 0)::decimal(18, 6) as measured,
    changes.detail
from {{ ref('meter_month_measures') }} as measures
inner join {{ ref('billing_closings') }} as closings
    on closings.site_id = measures.site_id
    and closings.billing_month = measures.period_from
    and closings.is_closed
left join changes
    on changes.site_id = measures.site_id
    and changes.meter_id = measures.meter_id
    and changes.billing_month = measures.period_from
