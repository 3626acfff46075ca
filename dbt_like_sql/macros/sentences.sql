{# "1 day was", "3 days were": a number with the words that agree with it. #}
{% macro number_of(number, singular, plural) -%}
    {{ number }} || case when {{ number }} = 1 then ' {{ singular }}' else ' {{ plural }}' end
{%- endmacro %}

{# A quantity as people write it: no zeros at its end, and its unit, if it is known. #}
{% macro quantity_of(quantity, unit) -%}
    rtrim(rtrim(({{ quantity }})::decimal(38, 6)::varchar, '0'), '.') || coalesce(' ' || {{ unit }}, '')
{%- endmacro %}

{# An instant as the clock of the site shows it. #}
{% macro local_time_of(instant, zone) -%}
    strftime({{ instant }} at time zone {{ zone }}, '%Y-%m-%d %H:%M')
{%- endmacro %}

{#
  What a failed check says to the clerk, without its code: its `sentence` from the table of checks, in which stand
  {count} or {amount}, what was measured, whole or with three decimals; {percent}, the same as a share, from `share`
  where it is exact; {detail}, what the check adds (names of meters, indices, a local time); {on_days}, on which days,
  where the row is not of one; and {day was|days were}, words that agree with the count.
#}
{% macro sentence_of(sentence, measured, detail, on_days="''", share=none) -%}
    {%- set count = '(' ~ measured ~ ')::bigint' -%}
    replace(replace(replace(replace(replace(
        regexp_replace(
            {{ sentence }}, '\{([^{}|]*)\|([^{}|]*)\}', case when {{ count }} = 1 then '\1' else '\2' end, 'g'
        ),
        '{count}', {{ count }}::varchar),
        '{amount}', rtrim(rtrim(round({{ measured }}, 3)::decimal(38, 3)::varchar, '0'), '.')),
        '{percent}', round(({{ share or measured }})::double * 100, 1)::varchar),
        '{on_days}', {{ on_days }}),
        '{detail}', coalesce({{ detail }}, ''))
{%- endmacro %}
