{# Quantities that an invoice states, in the order in which they are listed; all are columns of billing_monthly. #}
{% macro invoiced_quantities() -%}
    total solar grid index_start index_end index_advance export_index_start export_index_end export_index_advance
    grid_import grid_export storage_charge storage_discharge peak_kw
{%- endmacro %}
