{# Quantities that an invoice states, in the order in which they are listed; all are columns of billing_monthly. #}
{% macro invoiced_quantities() -%}
    total solar grid billed_total billed_solar billed_grid index_start index_end index_advance export_index_start
    export_index_end export_index_advance grid_import grid_export storage_charge storage_discharge peak_kw billed_peak_kw
{%- endmacro %}

{# Those of them that are made of the meter's own intervals. #}
{% macro quantities_of_intervals() -%}
    total solar grid peak_kw billed_total billed_solar billed_grid billed_peak_kw
{%- endmacro %}

{#
  Whether an invoice states only a part of what the meter measured, then or now: some of its days are, or were, not
  billed. Versions that were frozen without these columns say nothing about it.
#}
{% macro is_billed_in_part() -%}
    (
        list_contains(frozen_columns, 'billed_total')
        and (was_billed or is_billed)
        and (
            closed_billed_total is distinct from closed_total
            or current_billed_total is distinct from current_total
        )
    )
{%- endmacro %}

{# Whether what was closed of a quantity is another now; of what is billed in part, only that part was invoiced. #}
{% macro is_changed(name) -%}
    list_contains(frozen_columns, '{{ name }}')
    and closed_{{ name }} is distinct from current_{{ name }}
    {%- if name.startswith('billed_') %}
    and is_billed_in_part
    {%- elif 'billed_' ~ name in invoiced_quantities().split() %}
    and not is_billed_in_part
    {%- endif %}
{%- endmacro %}
