{#
  The instant at which a local day begins. Where clocks go back over midnight, local midnight happens twice, and the day
  begins with the first.
#}
{% macro day_start_utc(local_date, zone) -%}
    {%- set midnight = "(" ~ local_date ~ ")::timestamp at time zone " ~ zone -%}
    case
        when ((({{ midnight }}) - interval 1 hour) at time zone {{ zone }})::date = {{ local_date }}
            then ({{ midnight }}) - interval 1 hour
        else {{ midnight }}
    end
{%- endmacro %}
