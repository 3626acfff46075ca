{{ config(
    materialized='incremental',
    incremental_strategy='append',
    pre_hook="{{ delete_days_to_build(['meter_indices', 'meter_intervals']) }}"
) }}
{% set days_to_build_now = days_to_build(['meter_indices', 'meter_intervals']) %}
{% set registers = {
    'import': 'index_import_kwh', 'export': 'index_export_kwh', 'heat': 'heat_kwh', 'volume': 'volume_m3'
} %}

with

versions as (
    select * from {{ ref('stg_climkit__meter_indices') }}
    where {{ days_to_build_now }}
),

intervals as (
    select * from {{ ref('stg_climkit__meter_intervals') }}
    where {{ days_to_build_now }}
),

meters as (
    select * from {{ ref('int_meters') }}
),

calendar as (
    select * from {{ ref('calendar_days') }}
),

-- What cannot be an index is no reading: a register that shows all bits set, or more than DECIMAL(18,6) holds.
registers_as_read as (
    select
        site_id,
        meter_id,
        local_date,
        read_at_utc
        {%- for column in registers.values() %},
        case
            when {{ column }} not in (4294967295, 429496729.5, 42949672.95, 4294967.295, 2147483647, 2147483.647)
                then try_cast({{ column }} as decimal(18, 6))
        end as {{ column }}
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
    where registers_as_read.{{ column }} is not null
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
    where not (meters.has_split and readings.register = 'export' and readings.reading = 0)
),

in_order as (
    select
        *,
        lag(reading) over series as before,
        lead(reading) over series as after
    from dated
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
),

-- Of all readings, whether they are an index or not.
shapes as (
    select
        site_id,
        meter_id,
        register,
        local_date,
        count(*) as readings,
        sum(reading)::decimal(38, 6) as readings_sum,
        count(*) filter (where reading < before) as falls,
        count(*) filter (where reading > before) as rises,
        count(*) filter (where is_glitch) as glitches
    from on_the_line
    group by site_id, meter_id, register, local_date
),

summed as (
    select
        site_id,
        meter_id,
        register,
        local_date,
        any_value(zone) as zone,
        any_value(has_split) as has_split,
        any_value(usual_register) as usual_register,
        any_value(day_start_utc) as day_start_utc,
        any_value(day_end_utc) as day_end_utc,
        count(*) as readings_on_the_line,
        min(read_at_utc) as first_read_at_utc,
        max(read_at_utc) as last_read_at_utc,
        min_by(reading, read_at_utc) as first_index,
        max_by(reading, read_at_utc) as last_index,
        max({{ decimals_of('reading') }}) as decimals,
        count(*) filter (where reading < before) as falls,
        max(reading - before) as largest_rise
    from steps
    group by site_id, meter_id, register, local_date
),

-- What the validated intervals say of the time between two readings, where it matters: before the day's first reading,
-- and at steps that a replaced meter could explain.
interval_rows as (
    select
        intervals.site_id,
        intervals.meter_id,
        intervals.local_date,
        intervals.interval_start_utc,
        intervals.interval_end_utc,
        case when abs(intervals.total) < 1e8 then intervals.total::decimal(18, 6) end as total
    from intervals
    where intervals.superseded_at_utc is null
),

before_first as (
    select
        summed.site_id,
        summed.meter_id,
        summed.register,
        summed.local_date,
        case
            when
                sum(epoch_us(interval_rows.interval_end_utc) - epoch_us(interval_rows.interval_start_utc))
                    filter (where interval_rows.total is not null)
                = any_value(epoch_us(summed.first_read_at_utc) - epoch_us(summed.day_start_utc))
                then sum(interval_rows.total)::decimal(18, 6)
        end as total_before_first
    from summed
    inner join interval_rows
        on interval_rows.site_id = summed.site_id
        and interval_rows.meter_id = summed.meter_id
        and interval_rows.local_date = summed.local_date
        and interval_rows.interval_end_utc <= summed.first_read_at_utc
    group by summed.site_id, summed.meter_id, summed.register, summed.local_date
),

suspect_steps as (
    select steps.*
    from steps
    -- A series that falls all the time is no index: it states what each interval consumed.
    semi join (
        from summed where (falls > 0 or largest_rise > 10) and falls <= greatest(2, readings_on_the_line * 0.05)
    ) using (site_id, meter_id, register, local_date)
    where steps.reading < steps.before or steps.reading - steps.before > 10
),

explained_steps as (
    select
        suspect_steps.site_id,
        suspect_steps.meter_id,
        suspect_steps.register,
        suspect_steps.local_date,
        suspect_steps.before_at_utc,
        suspect_steps.read_at_utc,
        suspect_steps.before,
        suspect_steps.reading,
        any_value(suspect_steps.register in (suspect_steps.usual_register, 'import') or suspect_steps.has_split)
            as is_comparable,
        sum(interval_rows.total)::decimal(18, 6) as total,
        coalesce(
            sum(epoch_us(interval_rows.interval_end_utc) - epoch_us(interval_rows.interval_start_utc))
                filter (where interval_rows.total is not null)
            = any_value(epoch_us(suspect_steps.read_at_utc) - epoch_us(suspect_steps.before_at_utc)),
            false
        ) as is_total_whole
    from suspect_steps
    left join interval_rows
        on interval_rows.site_id = suspect_steps.site_id
        and interval_rows.meter_id = suspect_steps.meter_id
        and interval_rows.local_date = suspect_steps.local_date
        and interval_rows.interval_start_utc >= suspect_steps.before_at_utc
        and interval_rows.interval_end_utc <= suspect_steps.read_at_utc
    group by
        suspect_steps.site_id, suspect_steps.meter_id, suspect_steps.register, suspect_steps.local_date,
        suspect_steps.before_at_utc, suspect_steps.read_at_utc, suspect_steps.before, suspect_steps.reading
),

judged_steps as (
    select
        *,
        {{ register_cut('before', 'reading', 'total', 'is_total_whole and is_comparable') }} as cut
    from explained_steps
),

jumping_days as (
    select
        site_id,
        meter_id,
        register,
        local_date
    from judged_steps
    where cut = 'jump'
    group by site_id, meter_id, register, local_date
    having count(*) > 2
),

-- A register that jumps up again and again is not replaced each time: it counts in another unit, or the intervals are
-- wrong.
cuts as (
    select
        judged_steps.site_id,
        judged_steps.meter_id,
        judged_steps.register,
        judged_steps.local_date,
        list({
            'cut': judged_steps.cut, 'before_at_utc': judged_steps.before_at_utc,
            'read_at_utc': judged_steps.read_at_utc, 'index_before': judged_steps.before,
            'index_after': judged_steps.reading, 'total_between': judged_steps.total
        } order by judged_steps.read_at_utc) as cuts
    from judged_steps
    left join jumping_days using (site_id, meter_id, register, local_date)
    where judged_steps.cut is not null and (judged_steps.cut <> 'jump' or jumping_days.site_id is null)
    group by judged_steps.site_id, judged_steps.meter_id, judged_steps.register, judged_steps.local_date
),

final as (
    select
        summed.site_id,
        summed.meter_id,
        summed.register,
        summed.local_date,
        summed.zone,
        summed.has_split,
        summed.usual_register,
        summed.day_start_utc,
        summed.day_end_utc,
        shapes.readings::integer as readings,
        shapes.readings_sum,
        summed.first_read_at_utc,
        summed.last_read_at_utc,
        summed.first_index,
        summed.last_index,
        summed.decimals::integer as decimals,
        shapes.falls::integer as falls,
        shapes.rises::integer as rises,
        shapes.glitches::integer as glitches,
        jumping_days.site_id is not null as is_jumping,
        before_first.total_before_first,
        -- From the first to the last reading of the day, no step across a cut counted; a rollover is no cut.
        (
            summed.last_index - summed.first_index
            - coalesce(list_sum(list_transform(cuts.cuts, lambda c: c.index_after - c.index_before)), 0)
            + coalesce(list_sum(list_transform(
                list_filter(cuts.cuts, lambda c: c.cut = 'rollover'),
                lambda c: {{ rollover_advance('c.index_before', 'c.index_after') }}
            )), 0)
        )::decimal(18, 6) as advance,
        cuts.cuts,
        exchanges.exchanges
    from summed
    inner join shapes
        on shapes.site_id = summed.site_id
        and shapes.meter_id = summed.meter_id
        and shapes.register = summed.register
        and shapes.local_date = summed.local_date
    left join jumping_days
        on jumping_days.site_id = summed.site_id
        and jumping_days.meter_id = summed.meter_id
        and jumping_days.register = summed.register
        and jumping_days.local_date = summed.local_date
    left join before_first
        on before_first.site_id = summed.site_id
        and before_first.meter_id = summed.meter_id
        and before_first.register = summed.register
        and before_first.local_date = summed.local_date
    left join exchanges
        on exchanges.site_id = summed.site_id
        and exchanges.meter_id = summed.meter_id
        and exchanges.local_date = summed.local_date
        and summed.register in ('import', 'export')
    left join cuts
        on cuts.site_id = summed.site_id
        and cuts.meter_id = summed.meter_id
        and cuts.register = summed.register
        and cuts.local_date = summed.local_date
    order by
        date_trunc('month', summed.local_date), summed.site_id, summed.meter_id, summed.register, summed.local_date
)

select * from final
