{{ config(materialized='table', order_by='billing_month, site_id, meter_id, position') }}
{% set quantities %}
total, solar, grid, billed_total, billed_solar, billed_grid, index_start, index_end, index_advance, export_index_start,
export_index_end, export_index_advance, grid_import, grid_export, storage_charge, storage_discharge, peak_kw,
billed_peak_kw
{% endset %}

with

closings as (
    select *
    from {{ ref('billing_closings') }}
    where is_closed
),

closed as (
    select
        *,
        coalesce(was_excluded, false) as is_off_bill,
        coalesce(is_billed, false) as has_bill
    from {{ source('pipeline', 'closed_rows') }}
    semi join closings using (site_id, billing_month, version)
),

present as (
    select
        *,
        period_from as billing_month,
        is_excluded as is_off_bill,
        coalesce(is_billed, false) as has_bill
    from {{ ref('meter_month_measures') }} as measures
    semi join closings
        on closings.site_id = measures.site_id
        and closings.billing_month = measures.period_from
),

-- The rows of then and of now, each with all that an invoice can state.
both_times as (
    select true as is_closed_one, site_id, meter_id, billing_month, unit, is_off_bill, has_bill, {{ quantities }}
    from closed
    union all
    select false, site_id, meter_id, billing_month, unit, is_off_bill, has_bill, {{ quantities }}
    from present
),

-- Whether an invoice states only a part of what the meter measured, then or now: some of its days are, or were, not
-- billed. Versions that were frozen without this column say nothing about it.
meters as (
    select
        site_id,
        meter_id,
        billing_month,
        any_value(closings.version) as version,
        any_value(closings.frozen_columns) as frozen_columns,
        coalesce(
            any_value(unit) filter (where not is_closed_one), any_value(unit) filter (where is_closed_one)
        ) as unit,
        any_value(list_contains(closings.frozen_columns, 'billed_total'))
        and bool_or(has_bill)
        and bool_or(not is_off_bill and billed_total is distinct from total) as is_billed_in_part
    from both_times
    inner join closings using (site_id, billing_month)
    group by site_id, meter_id, billing_month
),

values_of_both as (
    select *
    from both_times
    unpivot include nulls (value for quantity in ({{ quantities }}))
),

-- A meter may have come to light, or vanished, since the month was closed. What is excluded is billed as nothing.
compared as (
    select
        site_id,
        meter_id,
        billing_month,
        quantity,
        max(value) filter (where is_closed_one and not is_off_bill)::decimal(18, 6) as closed_value,
        max(value) filter (where not is_closed_one and not is_off_bill)::decimal(18, 6) as current_value
    from values_of_both
    group by site_id, meter_id, billing_month, quantity
)

select
    site_id,
    meter_id,
    billing_month,
    meters.version,
    quantity,
    quantities.position,
    coalesce(quantities.unit, meters.unit) as unit,
    compared.closed_value,
    compared.current_value
from compared
inner join meters using (site_id, meter_id, billing_month)
inner join {{ ref('invoiced_quantities') }} as quantities using (quantity)
where
    list_contains(meters.frozen_columns, quantity)
    and compared.closed_value is distinct from compared.current_value
    -- Of what is billed in part, only that part was invoiced.
    and case quantities.compared_when
        when 'part' then meters.is_billed_in_part
        when 'whole' then not meters.is_billed_in_part
        else true
    end
