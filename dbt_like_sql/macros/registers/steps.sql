{# Readings of registers as steps from one to the next, for the models that look into days. #}

{#
  More than a building ever counts, in Wh as well: 10 GWh are the use of a hundred flats in twenty years. Sums of what is
  below it stay far from the end of DECIMAL(18,6).
#}
{% macro is_reached(reading) -%}
    coalesce(abs({{ reading }}) < 1e10, true)
{%- endmacro %}

{# Whether a number can be an index: reached by buildings, and not the bits that stand for an error. #}
{% macro is_index(reading) -%}
    {{ is_reached(reading) }}
    and {{ reading }} not in (4294967295, 429496729.5, 42949672.95, 4294967.295, 2147483647, 2147483.647)
{%- endmacro %}

{#
  CTEs down to `steps`: the readings of whole local days, each with the one before it of the same register, glitches left
  out. They stand on `versions` (of meter_indices), `meters` and `calendar`.
#}
{% macro register_steps(registers) -%}
-- What cannot be an index is no reading: a register that shows all bits set is left out, and a number that no building
-- reaches stays as a reading of null, so that it can be told.
registers_as_read as (
    select
        site_id,
        meter_id,
        local_date,
        read_at_utc
        {%- for register, column in registers.items() %},
        case when {{ is_index(column) }} then {{ column }}::decimal(18, 6) end as {{ column }},
        not {{ is_reached(column) }} as is_{{ register }}_absurd
        {%- endfor %}
    from versions
    where superseded_at_utc is null
),

-- Import and export change places where each goes on from what the other showed, while in its own column one would fall.
-- Only days on which the export register shows anything can hold that.
exchanges as (
    select
        site_id,
        meter_id,
        local_date,
        list({
            'before_at_utc': before_at_utc, 'read_at_utc': read_at_utc, 'import_before': import_before,
            'export_before': export_before, 'import_after': import_after, 'export_after': export_after
        } order by read_at_utc) as exchanges
    from (
        select
            site_id,
            meter_id,
            local_date,
            read_at_utc,
            coalesce(index_import_kwh, 0) as import_after,
            coalesce(index_export_kwh, 0) as export_after,
            lag(read_at_utc) over meter_day as before_at_utc,
            lag(coalesce(index_import_kwh, 0)) over meter_day as import_before,
            lag(coalesce(index_export_kwh, 0)) over meter_day as export_before
        from registers_as_read
        semi join (select * from registers_as_read where index_export_kwh <> 0) as exporting
            using (site_id, meter_id, local_date)
        window meter_day as (partition by site_id, meter_id, local_date order by read_at_utc)
    ) as steps_of_both
    where {{ is_exchange('import_before', 'export_before', 'import_after', 'export_after') }}
    group by site_id, meter_id, local_date
),

-- Over the day each register keeps the name of the column in which the day began. The export register of a meter that
-- only consumes stands at 0 and says nothing.
readings as (
    {% for register, column in registers.items() %}
    select
        registers_as_read.site_id,
        registers_as_read.meter_id,
        {% if register in ('import', 'export') -%}
        case
            when len(list_filter(exchanges.exchanges, lambda e: e.read_at_utc <= registers_as_read.read_at_utc)) % 2 = 1
                then {{ other_register("'" ~ register ~ "'") }}
            else '{{ register }}'
        end as register,
        {%- else -%}
        '{{ register }}' as register,
        {%- endif %}
        registers_as_read.local_date,
        registers_as_read.read_at_utc,
        registers_as_read.{{ column }} as reading
    from registers_as_read
    {% if register in ('import', 'export') -%}
    left join exchanges
        on exchanges.site_id = registers_as_read.site_id
        and exchanges.meter_id = registers_as_read.meter_id
        and exchanges.local_date = registers_as_read.local_date
    {% endif -%}
    where registers_as_read.{{ column }} is not null or registers_as_read.is_{{ register }}_absurd
    {{ 'union all' if not loop.last }}
    {% endfor %}
),

-- A reading belongs to the local day (start, end].
dated as (
    select
        readings.*,
        meters.zone,
        meters.has_split,
        meters.usual_register,
        calendar.day_start_utc,
        calendar.day_end_utc
    from readings
    inner join meters
        on meters.site_id = readings.site_id
        and meters.meter_id = readings.meter_id
    inner join calendar
        on calendar.zone = meters.zone
        and calendar.local_date = readings.local_date
        and calendar.day_start_utc < readings.read_at_utc
        and calendar.day_end_utc >= readings.read_at_utc
    where not (meters.has_split and readings.register = 'export' and readings.reading is not distinct from 0)
),

in_order as (
    select
        *,
        lag(reading) over series as before,
        lead(reading) over series as after
    from dated
    where reading is not null
    window series as (partition by site_id, meter_id, register, local_date order by read_at_utc)
),

-- A single reading off the line between its neighbours is a glitch, no replacement: the register goes on where it was.
on_the_line as (
    select
        *,
        coalesce(before <= after and (reading < before or reading > after), false) as is_glitch
    from in_order
),

steps as (
    select
        * exclude (before, after, is_glitch),
        lag(reading) over series as before,
        lag(read_at_utc) over series as before_at_utc
    from on_the_line
    where not is_glitch
    window series as (partition by site_id, meter_id, register, local_date order by read_at_utc)
)
{%- endmacro %}

{#
  CTE `interval_rows`, from `intervals`: what can be a quantity, of the intervals that count.
#}
{% macro interval_rows() -%}
interval_rows as (
    select
        site_id,
        meter_id,
        local_date,
        interval_start_utc,
        interval_end_utc,
        case when abs(total) < 1e8 then total::decimal(18, 6) end as total
    from intervals
    where superseded_at_utc is null
)
{%- endmacro %}

{#
  What `interval_rows` state of the time from `since` to `until`: `stated` by those that lie in it, `open` by those that only
  reach into it, and whether the first leave out nothing.
#}
{% macro stated_between(since, until) -%}
    {%- set lies_in -%}
        interval_rows.interval_start_utc >= {{ since }} and interval_rows.interval_end_utc <= {{ until }}
    {%- endset -%}
    {
        'stated': coalesce(sum(interval_rows.total) filter (where {{ lies_in }}), 0)::decimal(18, 6),
        'open': coalesce(sum(abs(interval_rows.total)) filter (
            where not ({{ lies_in }})
            and interval_rows.interval_start_utc < {{ until }} and interval_rows.interval_end_utc > {{ since }}
        ), 0)::decimal(18, 6),
        'is_whole': coalesce(
            sum(epoch_us(interval_rows.interval_end_utc) - epoch_us(interval_rows.interval_start_utc))
                filter (where interval_rows.total is not null and {{ lies_in }}),
            0
        ) = any_value(epoch_us({{ until }}) - epoch_us({{ since }}))
    }
{%- endmacro %}
