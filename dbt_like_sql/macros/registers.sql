{# Registers: what a reading is, and what happened between two of them. #}

{#
  More than a building ever counts, in Wh as well: 10 GWh are the use of a hundred flats in twenty years. Sums of what is
  below it stay far from the end of DECIMAL(18,6).
#}
{% macro is_reached(reading) -%}
    coalesce(abs({{ reading }}) < 1e10, true)
{%- endmacro %}

{# Whether a register shows the bits that stand for an error: that is no reading. (`in` would be a join.) #}
{% macro is_error(reading) -%}
    (
        {%- for error in [4294967295, 429496729.5, 42949672.95, 4294967.295, 2147483647, 2147483.647] -%}
        {{ reading }} = {{ error }}{{ ' or ' if not loop.last }}
        {%- endfor -%}
    )
{%- endmacro %}

{# Whether a number can be an index: reached by buildings, and not the bits that stand for an error. #}
{% macro is_index(reading) -%}
    {{ is_reached(reading) }} and not {{ is_error(reading) }}
{%- endmacro %}

{#
  A reading that can be added up exactly. Where no building reaches it, it stays as a number that none reaches, so that
  it can be told; the bits of an error are none. Nearly every reading is below the least of these, so that is asked first.
#}
{% macro reading_of(reading) -%}
    case
        when {{ reading }} < 0 or {{ reading }} > 2147483
            then case when not {{ is_error(reading) }} then least(greatest({{ reading }}, -1e10), 1e10)::decimal(18, 6) end
        else {{ reading }}::decimal(18, 6)
    end
{%- endmacro %}

{# A reading as an index; null where it is none. #}
{% macro index_of(reading) -%}
    case when {{ is_index(reading) }} then {{ reading }}::decimal(18, 6) end
{%- endmacro %}

{#
  The reading at which a register of as many digits as `before` has starts again at 0: the power of ten above it, counted
  in digits (a logarithm is off by one from 1e9 on). That of the longest readings is longer than DECIMAL(18,6).
#}
{% macro register_end(before) -%}
    pow(10, length(floor(greatest({{ before }}, 1))::bigint::varchar))::decimal(20, 6)
{%- endmacro %}

{# What a register counted between a reading before it rolled over and one after. #}
{% macro rollover_advance(before, after) -%}
    ({{ register_end(before) }} - {{ before }} + {{ after }})::decimal(20, 6)
{%- endmacro %}

{#
  `rollover` (it fell near the end of its digits, by what the intervals explain), `fall` or `jump` (another register
  counts on: no difference may be taken), null where it simply goes on. Two more kinds come of what is known otherwise:
  `dated` (meters.csv says so) and `sibling` (another register of the device was cut). A jump up is one only where the
  intervals between are known, and say that less than a twentieth of it was counted (below 10 units it could be a wrong
  interval), or where the register goes on in another unit.
#}
{% macro register_cut(before, after, total, is_total_known) -%}
    case
        when
            {{ after }} < {{ before }}
            and {{ register_end(before) }} >= 1000
            and {{ before }} > {{ register_end(before) }} * 0.99
            and case
                when {{ is_total_known }}
                    then abs({{ rollover_advance(before, after) }} - {{ total }}) <= greatest(1, abs({{ total }}) * 0.1)
                else {{ rollover_advance(before, after) }} <= {{ register_end(before) }} * 0.01
            end
            then 'rollover'
        when {{ after }} < {{ before }} then 'fall'
        when {{ is_total_known }} and {{ is_unexplained(before, after, total) }} then 'jump'
        when {{ unit_change(before, after) }} = 'larger' then 'jump'
    end
{%- endmacro %}

{# Whether a register went up by so much more than the intervals between state that it is another one. #}
{% macro is_unexplained(before, after, total) -%}
    {{ after }} - {{ before }} - {{ total }} > greatest(10, 20 * {{ total }})
{%- endmacro %}

{# Whether a register simply goes on, whatever the intervals state: no fall, and too little for a jump. #}
{% macro is_plain(before, after) -%}
    {{ after }} - {{ before }} between 0 and 10
{%- endmacro %}

{# A multiple that a DECIMAL(18,6) need not be able to hold. #}
{% macro times(index, factor) -%}
    {{ index }}::decimal(24, 6) * {{ factor }}
{%- endmacro %}

{#
  `larger` or `smaller` where a register goes on at a thousand times its index, or at a thousandth: it counts in another
  unit. What it counted meanwhile is allowed for with a hundredth; below 10 units that would be too little.
#}
{% macro unit_change(before, after) -%}
    case
        when {{ before }} >= 10 and {{ after }} between {{ times(before, 990) }} and {{ times(before, 1010) }} then 'larger'
        when {{ after }} >= 10 and {{ before }} between {{ times(after, 990) }} and {{ times(after, 1010) }} then 'smaller'
    end
{%- endmacro %}

{#
  Whether between two readings the columns of import and export changed places: in its own column one would have fallen,
  in the other's place each went on. Registers never fall, so this is no replacement; how far they may have gone on only
  keeps chance out.
#}
{% macro is_exchange(import_before, export_before, import_after, export_after) -%}
    ({{ import_after }} < {{ import_before }} or {{ export_after }} < {{ export_before }})
    and {{ export_after }} between {{ import_before }} and {{ import_before }} + greatest(100, {{ import_before }} * 0.01)
    and {{ import_after }} between {{ export_before }} and {{ export_before }} + greatest(100, {{ export_before }} * 0.01)
{%- endmacro %}

{#
  Whether the instant that meters.csv states for a replacement can be that of a cut between two readings: people state a
  day, or the time of their visit.
#}
{% macro is_near(instant, before_at, read_at) -%}
    epoch_us({{ instant }}) between epoch_us({{ before_at }}) - 86400000000 and epoch_us({{ read_at }}) + 86400000000
{%- endmacro %}

{# One number for a register of a meter. #}
{% macro series_number(meter_number, register) -%}
    {{ meter_number }} * 4
    + case {{ register }} when 'import' then 0 when 'export' then 1 when 'heat' then 2 when 'volume' then 3 end
{%- endmacro %}

{# Of electricity's two registers, the other one. #}
{% macro other_register(register) -%}
    case {{ register }} when 'import' then 'export' when 'export' then 'import' end
{%- endmacro %}

{#
  Whether a register is that other one. In so many words: DuckDB 2.0 cannot bind a comparison with what it knows to be
  null in every row, as the other register of an account that has nothing but water.
#}
{% macro is_other(register, usual_register) -%}
    {{ register }} in ('import', 'export') and {{ usual_register }} in ('import', 'export')
    and {{ register }} <> {{ usual_register }}
{%- endmacro %}

{# In a row with `is_crossed`: the column in which a register stands, or the register that stands in a column. #}
{% macro in_column(register) -%}
    case when is_crossed and {{ register }} in ('import', 'export') then {{ other_register(register) }} else {{ register }} end
{%- endmacro %}

{#
  Whether the intervals can tell what the register counted: those of a meter are made of its usual register, or of import;
  where energy is split, of any.
#}
{% macro is_comparable(series) -%}
    ({{ series }}.register in ({{ series }}.usual_register, 'import') or {{ series }}.has_split)
{%- endmacro %}

{# Whether an interval lies wholly between two instants. #}
{% macro lies_in(since, until) -%}
    (intervals.interval_start_utc >= {{ since }} and intervals.interval_end_utc <= {{ until }})
{%- endmacro %}

{# Whether an interval lies partly between two instants. #}
{% macro reaches_into(since, until) -%}
    (
        not {{ lies_in(since, until) }}
        and intervals.interval_start_utc < {{ until }} and intervals.interval_end_utc > {{ since }}
    )
{%- endmacro %}

{# What the intervals state that lie between two instants. #}
{% macro stated_between(since, until) -%}
    coalesce(
        sum({{ quantity('intervals.total') }}) filter (where {{ lies_in(since, until) }}), 0
    )::decimal(18, 6)
{%- endmacro %}

{# What those state that only reach into the time between two instants: how far off stated_between can be. #}
{% macro open_between(since, until) -%}
    coalesce(
        sum(abs({{ quantity('intervals.total') }})) filter (where {{ reaches_into(since, until) }}), 0
    )::decimal(18, 6)
{%- endmacro %}

{# How much of the time between two instants intervals with a value cover that lie in it, in microseconds. #}
{% macro covered_between(since, until) -%}
    coalesce(
        sum(epoch_us(intervals.interval_end_utc) - epoch_us(intervals.interval_start_utc))
            filter (where {{ quantity('intervals.total') }} is not null and {{ lies_in(since, until) }}),
        0
    )
{%- endmacro %}
