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
  Whether an interval begins at no quarter-hour, or at no multiple of its own length: an hourly value at a quarter past
  overlaps others. Hours of a zone that is off by 45 minutes may be those of UTC or its own.
#}
{% macro is_off_grid(interval_start_utc, interval_end_utc, day_start_utc) -%}
    {%- set length_us = "least(greatest(epoch_us(" ~ interval_end_utc ~ ") - epoch_us(" ~ interval_start_utc
        ~ "), 900000000), 3600000000)" -%}
    (
        epoch_us({{ interval_start_utc }}) % 900000000 <> 0
        or (
            epoch_us({{ interval_start_utc }}) % {{ length_us }} <> 0
            and (epoch_us({{ interval_start_utc }}) - epoch_us({{ day_start_utc }})) % {{ length_us }} <> 0
        )
    )
{%- endmacro %}

{# Whole minutes from one instant to another. #}
{% macro minutes_between(since, until) -%}
    ((epoch_us({{ until }}) - epoch_us({{ since }})) // 60000000)::integer
{%- endmacro %}

{#
  The first and the last day of what is being built: of a month, or of the changed days of one. DuckDB finds out by
  itself which rows a model needs for them, but not through a semi join, nor through a window that goes over days.
#}
{% macro built_from() -%}
    getvariable('built_from')::date
{%- endmacro %}
{% macro built_until() -%}
    getvariable('built_until')::date
{%- endmacro %}
{% macro is_being_built() -%}
    local_date between {{ built_from() }} and {{ built_until() }}
{%- endmacro %}

{# The same, and the days around that can still matter: nothing is put between two readings that lie 40 days apart. #}
{% macro is_around_built() -%}
    local_date between {{ built_from() }} - 45 and {{ built_until() }} + 45
{%- endmacro %}
