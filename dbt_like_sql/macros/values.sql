{# What a number looks like when it is none. #}

{#
  A quantity that can be added up exactly; null where no meter measures so much in one interval (1e8). With 14 digits,
  what is worked out of a few of them still fits into 18, with which DuckDB computes several times faster than with more.
#}
{% macro quantity(number) -%}
    try_cast({{ number }} as decimal(14, 6))
{%- endmacro %}

{#
  The part of a whole that is left beside another part. The parts of a share are no multiples of a millionth, so three
  numbers that are rounded each by itself need not add up: up to two millionths are such noise, and what is left is then
  worked out. What differs by more is what was stated, for checks to find.
#}
{% macro rest_of(whole, part, rest) -%}
    case
        when abs({{ quantity(whole) }} - {{ quantity(part) }} - {{ quantity(rest) }}) <= 0.000002
            then {{ quantity(whole) }} - {{ quantity(part) }}
        else {{ quantity(rest) }}
    end
{%- endmacro %}

{#
  Numbers that registers and gateways show instead of a value: all bits set in 16, 24 or 32 bits, signed or not, in
  steps of 1 down to 0.001. No building takes 3 MWh in a quarter of an hour.
#}
{% macro sentinel_values() -%}
    4294967.295, 42949672.95, 2147483.647, 21474836.47, 16777.215, 167772.15, 1677721.5, 16777215,
    65535, 6553.5, 32767, 3276.7, 99999.999, 999999.99, 9999999.9, 99999999
{%- endmacro %}

{# The same in small steps: a large building can reach these, so they need more than themselves to be suspect. #}
{% macro possible_sentinel_values() -%}
    655.35, 65.535, 327.67, 32.767
{%- endmacro %}

{# Decimals that a DECIMAL(18,6) really uses, 0 to 6: the step in which a series is stated. #}
{% macro decimals_of(value) -%}
    case
        when {{ value }} % 1 = 0 then 0
        when {{ value }} % 0.1 = 0 then 1
        when {{ value }} % 0.01 = 0 then 2
        when {{ value }} % 0.001 = 0 then 3
        when {{ value }} % 0.0001 = 0 then 4
        when {{ value }} % 0.00001 = 0 then 5
        when {{ value }} is not null then 6
    end
{%- endmacro %}

{# Whether an interval is neither the first nor the last of its day. #}
{% macro is_inside_day() -%}
    (interval_start_utc > day_start_utc and interval_end_utc < day_end_utc)
{%- endmacro %}

{# Mean power of a row in kW: by its own length, since a value may be of a quarter of an hour, an hour or a day. #}
{% macro power_kw(energy_kwh, interval) -%}
    ({{ energy_kwh }}) * 3600000000.0
        / nullif(epoch_us({{ interval }}.interval_end_utc) - epoch_us({{ interval }}.interval_start_utc), 0)
{%- endmacro %}
