{# What checks measure with. #}

{# Whether readings are frequent: the second of two follows within an hour. #}
{% macro is_soon(before_at_utc, read_at_utc) -%}
    coalesce(epoch_us({{ read_at_utc }}) - epoch_us({{ before_at_utc }}) <= 3600000000, false)
{%- endmacro %}

{# By how much the intervals differ from what the register counted, in words. #}
{% macro more_than_counted(apart) -%}
    {{ quantity_of('abs(' ~ apart ~ ')', 'unit') }}
    || case when {{ apart }} > 0 then ' more' else ' less' end || ' than the register counted'
{%- endmacro %}

{# Whether a meter has a register of its own for what the site's plants produce. #}
{% macro is_plant() -%}
    meter_type = 'electricity' and meter_mode = 'production' and not is_rule_meter
{%- endmacro %}
