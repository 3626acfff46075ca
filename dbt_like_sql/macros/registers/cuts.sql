{# What happened to a register between two readings. #}

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
  counts on: no difference may be taken), null for an ordinary step. Two more kinds come of what is known otherwise:
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
        when
            {{ is_total_known }}
            and {{ after }} - {{ before }} - {{ total }} > greatest(10, 20 * {{ total }})
            then 'jump'
        when {{ unit_change(before, after) }} = 'larger' then 'jump'
    end
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

{# Of electricity's two registers, the other one. #}
{% macro other_register(register) -%}
    case {{ register }} when 'import' then 'export' when 'export' then 'import' end
{%- endmacro %}

{# In a row with `is_crossed`: the column in which a register stands, or the register that stands in a column. #}
{% macro in_column(register) -%}
    case when is_crossed and {{ register }} in ('import', 'export') then {{ other_register(register) }} else {{ register }} end
{%- endmacro %}

{# The register that counts what is drawn: the one that the intervals are made of, unless they state what is produced. #}
{% macro drawn_register() -%}
    case
        when usual_register = 'import' then counting_register
        when usual_register = 'export' then {{ other_register('counting_register') }}
        else coalesce({{ in_column('stated_drawn_column') }}, 'import')
    end
{%- endmacro %}

{# The register that counts what flows the other way. #}
{% macro feed_in_register() -%}
    case
        when usual_register = 'import' then {{ other_register('counting_register') }}
        when usual_register = 'export' then counting_register
        else coalesce({{ other_register('(' ~ in_column('stated_drawn_column') ~ ')') }}, 'export')
    end
{%- endmacro %}

{#
  Column `quantity` of the other register of electricity than the one that `register` names, null for any other. It
  names no register on the way: where none of an account's meters counts electricity, DuckDB 2.0.0 finds the name null
  throughout, and cannot compare it with a text that is none of its two.
#}
{% macro other_side(register, quantity) -%}
    case {{ register }} when 'import' then export_{{ quantity }} when 'export' then import_{{ quantity }} end
{%- endmacro %}

{# Column `quantity` of the register that `register` names, in a row that holds all registers side by side. #}
{% macro side(register, quantity) -%}
    case {{ register }}
        when 'import' then import_{{ quantity }}
        when 'export' then export_{{ quantity }}
        when 'heat' then heat_{{ quantity }}
        when 'volume' then volume_{{ quantity }}
    end
{%- endmacro %}
