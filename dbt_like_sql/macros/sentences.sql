{# "1 day was", "3 days were": a number with the words that agree with it. #}
{% macro number_of(number, singular, plural) -%}
    {{ number }} || case when {{ number }} = 1 then ' {{ singular }}' else ' {{ plural }}' end
{%- endmacro %}
