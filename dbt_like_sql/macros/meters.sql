{# What follows from a meter's type and mode; the same rules as `climkit_pipeline.domain.meters` (a test compares). #}

{% macro unit_of(meter_type) -%}
    case
        when {{ meter_type }} in ('electricity', 'charge_point', 'heating', 'cooling') then 'kWh'
        when {{ meter_type }} in ('cold_water', 'hot_water') then 'm3'
        when {{ meter_type }} = 'reactive' then 'kvarh'
    end
{%- endmacro %}

{% macro has_split(meter_type, meter_mode) -%}
    coalesce({{ meter_type }} in ('electricity', 'charge_point') and {{ meter_mode }} = 'consumption', false)
{%- endmacro %}

{# What is metered, whatever the meter's type calls it: charge points draw electricity. #}
{% macro carrier_of(meter_type) -%}
    case when {{ meter_type }} = 'charge_point' then 'electricity' else {{ meter_type }} end
{%- endmacro %}

{# Whether the provider needs the meter's values to split the energy of its site. #}
{% macro is_in_split(meter_type, meter_mode) -%}
    coalesce({{ meter_type }} in ('electricity', 'charge_point') and {{ meter_mode }} in ('consumption', 'introduction'), false)
{%- endmacro %}

{#
  The register whose advance should equal the interval sum. Rule meters have no raw data; a battery uses two registers,
  an unknown type or mode none that is known.
#}
{% macro index_register(meter_type, meter_mode, is_rule_meter) -%}
    case
        when {{ is_rule_meter }} then null
        when {{ meter_type }} in ('electricity', 'charge_point') and {{ meter_mode }} in ('consumption', 'introduction')
            then 'import'
        when {{ meter_type }} in ('electricity', 'charge_point') and {{ meter_mode }} = 'production' then 'export'
        when {{ meter_type }} in ('heating', 'cooling') then 'heat'
        when {{ meter_type }} in ('cold_water', 'hot_water') then 'volume'
    end
{%- endmacro %}

{# What a meter is on a bill: totals may be added up within one role, type and unit, never across. #}
{% macro meter_role(meter_mode, is_rule_meter) -%}
    case
        when {{ is_rule_meter }} then 'sum_of_meters'
        when {{ meter_mode }} = 'consumption' then 'consumer'
        when {{ meter_mode }} = 'introduction' then 'grid_connection'
        when {{ meter_mode }} = 'production' then 'production'
        when {{ meter_mode }} = 'battery' then 'storage'
        else 'unknown'
    end
{%- endmacro %}
