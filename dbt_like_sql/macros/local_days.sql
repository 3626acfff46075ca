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

{#
  Whether an interval begins at no quarter-hour, or between the steps of its own length: an hourly value at a quarter past
  overlaps others. Hours of a zone that is off by 45 minutes may be those of UTC or its own.
#}
{% macro is_off_grid(interval, day_start_utc) -%}
    {%- set step_us = "least(greatest(epoch_us(" ~ interval ~ ".interval_end_utc) - epoch_us(" ~ interval
        ~ ".interval_start_utc), 900000000), 3600000000)" -%}
    (
        epoch_us({{ interval }}.interval_start_utc) % 900000000 <> 0
        or (
            epoch_us({{ interval }}.interval_start_utc) % {{ step_us }} <> 0
            and (epoch_us({{ interval }}.interval_start_utc) - epoch_us({{ day_start_utc }})) % {{ step_us }} <> 0
        )
    )
{%- endmacro %}
