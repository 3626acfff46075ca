{# Conditions on days and periods of a meter. #}

{#
  Whether a day's values are confirmed: two equal answers after the month's end, the last after the closing delay; or
  first seen 35 days after it. `day` is a relation with what coverage tells of the day.
#}
{% macro is_confirmed(day, month_end_utc, closing_delay_us) -%}
    (
        (
            {{ day }}.equal_after_month >= 2
            and epoch_us({{ day }}.last_fetched_at_utc) - epoch_us({{ month_end_utc }}) >= {{ closing_delay_us }}
        )
        or epoch_us({{ day }}.first_fetched_at_utc) - epoch_us({{ month_end_utc }}) >= 35 * 86400000000
    )
{%- endmacro %}

{#
  Whether what interpolated bounds and a replacement leave open of an advance is little: two steps, or five times what
  intervals and index may differ by.
#}
{% macro is_sharp(open, step, advance, tolerance) -%}
    {{ open }} <= greatest(2 * {{ step }}, abs({{ advance }}) * 5 * {{ tolerance }})
{%- endmacro %}

{#
  Whether the site states flows that differ from what the registers counted: by more than two steps, and by more of the
  larger one than a site's sum may. What is worked out of a large flow is off by a share of that.
#}
{% macro are_flows_apart(drawn, fed_in) -%}
    greatest(abs({{ drawn }} - import_advance), abs({{ fed_in }} - export_index_advance))
    > greatest(2 * step, abs(import_advance) * site_tolerance, abs(export_index_advance) * site_tolerance)
{%- endmacro %}

{# What a register counted on days that dropped out of the period; `dropped` is a row of int_dropped_advances. #}
{% macro counted_off_bill(register) -%}
    case when dropped.site_id is null then 0 else dropped.{{ register }} end
{%- endmacro %}
