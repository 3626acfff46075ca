{% set quantities = invoiced_quantities().split() %}
{% set frozen_names = names_in(source('pipeline', 'closed_rows').include(database=false)) %}

with

closed_rows as (
    select * from {{ source('pipeline', 'closed_rows') }}
),

closings as (
    select * from {{ ref('billing_closings') }}
    where is_closed
),

measures as (
    select
        *,
        period_from as billing_month
    from {{ ref('meter_month_measures') }}
),

flowing as (
    select
        measures.*,
        {{ flows() }}
    from measures
    semi join closings using (site_id, billing_month)
),

-- What is excluded is billed as nothing.
closed as (
    select
        site_id,
        meter_id,
        billing_month,
        {% if 'unit' in frozen_names %}unit{% else %}null::varchar{% endif %} as unit,
        {% if 'is_billed' in frozen_names %}coalesce(is_billed, false){% else %}false{% endif %} as was_billed,
        {% for name in quantities -%}
        {% if name in frozen_names %}case when not coalesce(was_excluded, false) then {{ name }} end{% else %}null{% endif %}::decimal(18, 6) as closed_{{ name }}{{ ',' if not loop.last }}
        {% endfor %}
    from closed_rows
    semi join closings using (site_id, billing_month, version)
),

current_rows as (
    select
        site_id,
        meter_id,
        billing_month,
        unit,
        coalesce(is_billed, false) as is_billed,
        {% for name in quantities -%}
        case when not is_excluded then {{ name }} end::decimal(18, 6) as current_{{ name }}{{ ',' if not loop.last }}
        {% endfor %}
    from flowing
),

-- A meter may have come to light, or vanished, since the month was closed.
paired as (
    select
        closings.site_id,
        coalesce(closed.meter_id, current_rows.meter_id) as meter_id,
        closings.billing_month,
        closings.version,
        closings.frozen_columns,
        coalesce(current_rows.unit, closed.unit) as unit,
        coalesce(closed.was_billed, false) as was_billed,
        coalesce(current_rows.is_billed, false) as is_billed,
        {% for name in quantities -%}
        closed_{{ name }},
        current_{{ name }}{{ ',' if not loop.last }}
        {% endfor %}
    from closed
    full join current_rows
        on current_rows.site_id = closed.site_id
        and current_rows.meter_id = closed.meter_id
        and current_rows.billing_month = closed.billing_month
    inner join closings
        on closings.site_id = coalesce(closed.site_id, current_rows.site_id)
        and closings.billing_month = coalesce(closed.billing_month, current_rows.billing_month)
),

judged_in_part as (
    select
        *,
        {{ is_billed_in_part() }} as is_billed_in_part
    from paired
),

final as (
    {% for name in quantities -%}
    select
        site_id,
        meter_id,
        billing_month,
        version,
        '{{ name }}' as quantity,
        {{ loop.index }} as position,
        {% if name.endswith('peak_kw') %}'kW'{% else %}unit{% endif %} as unit,
        closed_{{ name }} as closed_value,
        current_{{ name }} as current_value
    from judged_in_part
    where {{ is_changed(name) }}
    {{ 'union all' if not loop.last }}
    {% endfor %}
    order by billing_month, site_id, meter_id, position
)

select * from final
