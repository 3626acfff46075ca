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

{# The grade that rows of int_graded_failures make together, and the sentences that go with it. #}
{% macro grade_of() -%}
    case
        when bool_or(severity = 'waits' and not is_accepted and not waits_last) then 'provisional'
        when bool_or(severity = 'blocks' and not is_accepted) then 'blocked'
        when bool_or(waits_last and not is_accepted) then 'provisional'
        when bool_or(is_always_reason) then 'ready_with_estimates'
        else 'ready'
    end
{%- endmacro %}

{% macro reasons_of() -%}
    coalesce(list(sentence order by position, sentence) filter (
        where (severity <> 'warns' and not waits_last) or is_always_reason or is_accepted
    ), [])
    || case
        when bool_or(severity <> 'warns' and not is_accepted and not waits_last) then []
        else coalesce(list(sentence order by position, sentence) filter (where waits_last and not is_accepted), [])
    end
{%- endmacro %}

{# What is among the reasons is no warning as well. #}
{% macro warnings_of() -%}
    coalesce(list(sentence order by position, sentence) filter (
        where severity = 'warns' and not is_always_reason and not is_accepted
    ), [])
{%- endmacro %}
