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
  counts on: no difference may be taken), null for an ordinary step. A jump up is one only where the intervals between
  are known, and say that less than a twentieth of it was counted; below 10 units it could be a wrong interval.
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
    end
{%- endmacro %}

{# Of electricity's two registers, the other one. #}
{% macro other_register(register) -%}
    case {{ register }} when 'import' then 'export' when 'export' then 'import' end
{%- endmacro %}

{#
  The register that counts what flows the other way than import: `export`, unless a swap was recognised on a meter whose
  import register is its usual one.
#}
{% macro feed_in_register() -%}
    case when usual_register = 'import' and index_register = 'export' then 'import' else 'export' end
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
