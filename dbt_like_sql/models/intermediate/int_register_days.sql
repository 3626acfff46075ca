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

{{ register_steps(registers) }},

{{ interval_rows() }},

-- Of all readings, whether they are an index or not; what no building reaches counts as a glitch.
shapes as (
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
        count(*) as readings,
        sum(reading)::decimal(38, 6) as readings_sum,
        count(*) filter (where reading < before) as falls,
        count(*) filter (where reading > before) as rises,
        count(*) filter (where is_glitch) as glitches
    from (
        select * from on_the_line
        union all by name
        select *, true as is_glitch from dated where reading is null
    )
    group by site_id, meter_id, register, local_date
),

summed as (
    select
        site_id,
        meter_id,
        register,
        local_date,
        any_value(day_start_utc) as day_start_utc,
        any_value(day_end_utc) as day_end_utc,
        any_value(has_split) as has_split,
        any_value(usual_register) as usual_register,
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

-- What the validated intervals say of the time between two readings, where it matters: before the day's first reading
-- and after its last, and at steps that a replaced meter could explain.
around as (
    select
        summed.site_id,
        summed.meter_id,
        summed.register,
        summed.local_date,
        {{ stated_between('summed.day_start_utc', 'summed.first_read_at_utc') }} as before_first,
        {{ stated_between('summed.last_read_at_utc', 'summed.day_end_utc') }} as after_last
    from summed
    left join interval_rows
        on interval_rows.site_id = summed.site_id
        and interval_rows.meter_id = summed.meter_id
        and interval_rows.local_date = summed.local_date
        and (
            interval_rows.interval_start_utc < summed.first_read_at_utc
            or interval_rows.interval_end_utc > summed.last_read_at_utc
        )
    group by summed.site_id, summed.meter_id, summed.register, summed.local_date
),

-- Falls all day long are no replacements: the series states what each interval consumed, or the readings are wrong. Only
-- what was read first and last is compared then, so that an index never counts backwards.
told_days as (
    select
        *,
        falls > greatest(2, readings_on_the_line * 0.05) as is_restless
    from summed
),

told_steps as (
    select
        steps.site_id,
        steps.meter_id,
        steps.register,
        steps.local_date,
        steps.has_split,
        steps.usual_register,
        steps.before_at_utc,
        steps.read_at_utc,
        steps.before,
        steps.reading
    from steps
    semi join (from told_days where not is_restless and (falls > 0 or largest_rise > 10))
        using (site_id, meter_id, register, local_date)
    union all
    select
        site_id,
        meter_id,
        register,
        local_date,
        has_split,
        usual_register,
        first_read_at_utc,
        last_read_at_utc,
        first_index,
        last_index
    from told_days
    where is_restless
),

-- On such a day, what does not lie between the first and the last reading is off the line as well.
off_the_line as (
    select
        steps.site_id,
        steps.meter_id,
        steps.register,
        steps.local_date,
        count(*) as readings
    from steps
    inner join told_days
        on told_days.site_id = steps.site_id
        and told_days.meter_id = steps.meter_id
        and told_days.register = steps.register
        and told_days.local_date = steps.local_date
    where
        told_days.is_restless
        and told_days.first_index <= told_days.last_index
        and steps.reading not between told_days.first_index and told_days.last_index
    group by steps.site_id, steps.meter_id, steps.register, steps.local_date
),

suspect_steps as (
    select * from told_steps
    where reading < before or reading - before > 10
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
        {{ stated_between('suspect_steps.before_at_utc', 'suspect_steps.read_at_utc') }} as between_readings
    from suspect_steps
    left join interval_rows
        on interval_rows.site_id = suspect_steps.site_id
        and interval_rows.meter_id = suspect_steps.meter_id
        and interval_rows.local_date = suspect_steps.local_date
        and interval_rows.interval_start_utc < suspect_steps.read_at_utc
        and interval_rows.interval_end_utc > suspect_steps.before_at_utc
    group by
        suspect_steps.site_id, suspect_steps.meter_id, suspect_steps.register, suspect_steps.local_date,
        suspect_steps.before_at_utc, suspect_steps.read_at_utc, suspect_steps.before, suspect_steps.reading
),

judged_steps as (
    select
        *,
        {{ register_cut('before', 'reading', 'between_readings.stated', 'between_readings.is_whole and is_comparable') }}
            as cut
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
cut_steps as (
    select judged_steps.*
    from judged_steps
    left join jumping_days using (site_id, meter_id, register, local_date)
    where judged_steps.cut is not null and (judged_steps.cut <> 'jump' or jumping_days.site_id is null)
),

cuts as (
    select
        site_id,
        meter_id,
        register,
        local_date,
        list({
            'cut': cut, 'before_at_utc': before_at_utc, 'read_at_utc': read_at_utc, 'index_before': before,
            'index_after': reading, 'total_between': between_readings.stated, 'open_between': between_readings.open
        } order by read_at_utc) as cuts
    from cut_steps
    group by site_id, meter_id, register, local_date
),

-- The steps of a meter's other registers over the time in which one was replaced, unless they show that themselves.
-- Whether that one is an index at all shows over days.
cut_siblings as (
    select
        steps.site_id,
        steps.meter_id,
        steps.register,
        steps.local_date,
        steps.before_at_utc,
        steps.read_at_utc,
        steps.before,
        steps.reading,
        list_sort(list_distinct(list(cut_steps.register))) as cut_registers
    from steps
    inner join cut_steps
        on cut_steps.site_id = steps.site_id
        and cut_steps.meter_id = steps.meter_id
        and cut_steps.local_date = steps.local_date
        and cut_steps.register <> steps.register
        and cut_steps.cut <> 'rollover'
        and cut_steps.before_at_utc < steps.read_at_utc
        and cut_steps.read_at_utc > steps.before_at_utc
    where not exists (
        select 1 from cut_steps as own
        where
            own.site_id = steps.site_id
            and own.meter_id = steps.meter_id
            and own.local_date = steps.local_date
            and own.register = steps.register
            and own.cut <> 'rollover'
            and own.before_at_utc < cut_steps.read_at_utc
            and own.read_at_utc > cut_steps.before_at_utc
    )
    group by
        steps.site_id, steps.meter_id, steps.register, steps.local_date,
        steps.before_at_utc, steps.read_at_utc, steps.before, steps.reading
),

sibling_steps as (
    select
        cut_siblings.site_id,
        cut_siblings.meter_id,
        cut_siblings.register,
        cut_siblings.local_date,
        cut_siblings.before_at_utc,
        cut_siblings.read_at_utc,
        cut_siblings.before,
        cut_siblings.reading,
        any_value(cut_siblings.cut_registers) as cut_registers,
        {{ stated_between('cut_siblings.before_at_utc', 'cut_siblings.read_at_utc') }} as between_readings
    from cut_siblings
    left join interval_rows
        on interval_rows.site_id = cut_siblings.site_id
        and interval_rows.meter_id = cut_siblings.meter_id
        and interval_rows.local_date = cut_siblings.local_date
        and interval_rows.interval_start_utc < cut_siblings.read_at_utc
        and interval_rows.interval_end_utc > cut_siblings.before_at_utc
    group by
        cut_siblings.site_id, cut_siblings.meter_id, cut_siblings.register, cut_siblings.local_date,
        cut_siblings.before_at_utc, cut_siblings.read_at_utc, cut_siblings.before, cut_siblings.reading
),

siblings as (
    select
        site_id,
        meter_id,
        register,
        local_date,
        list({
            'cut_registers': cut_registers, 'before_at_utc': before_at_utc, 'read_at_utc': read_at_utc,
            'index_before': before, 'index_after': reading, 'total_between': between_readings.stated,
            'open_between': between_readings.open
        } order by read_at_utc) as sibling_steps
    from sibling_steps
    group by site_id, meter_id, register, local_date
),

final as (
    select
        shapes.site_id,
        shapes.meter_id,
        shapes.register,
        shapes.local_date,
        shapes.zone,
        shapes.has_split,
        shapes.usual_register,
        shapes.day_start_utc,
        shapes.day_end_utc,
        shapes.readings::integer as readings,
        shapes.readings_sum,
        summed.first_read_at_utc,
        summed.last_read_at_utc,
        summed.first_index,
        summed.last_index,
        summed.decimals::integer as decimals,
        shapes.falls::integer as falls,
        shapes.rises::integer as rises,
        (shapes.glitches + coalesce(off_the_line.readings, 0))::integer as glitches,
        jumping_days.site_id is not null as is_jumping,
        around.before_first,
        around.after_last,
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
        siblings.sibling_steps,
        exchanges.exchanges
    from shapes
    -- Nothing but glitches leaves no index.
    left join summed
        on summed.site_id = shapes.site_id
        and summed.meter_id = shapes.meter_id
        and summed.register = shapes.register
        and summed.local_date = shapes.local_date
    left join off_the_line
        on off_the_line.site_id = shapes.site_id
        and off_the_line.meter_id = shapes.meter_id
        and off_the_line.register = shapes.register
        and off_the_line.local_date = shapes.local_date
    left join jumping_days
        on jumping_days.site_id = shapes.site_id
        and jumping_days.meter_id = shapes.meter_id
        and jumping_days.register = shapes.register
        and jumping_days.local_date = shapes.local_date
    left join around
        on around.site_id = shapes.site_id
        and around.meter_id = shapes.meter_id
        and around.register = shapes.register
        and around.local_date = shapes.local_date
    left join exchanges
        on exchanges.site_id = shapes.site_id
        and exchanges.meter_id = shapes.meter_id
        and exchanges.local_date = shapes.local_date
        and shapes.register in ('import', 'export')
    left join cuts
        on cuts.site_id = shapes.site_id
        and cuts.meter_id = shapes.meter_id
        and cuts.register = shapes.register
        and cuts.local_date = shapes.local_date
    left join siblings
        on siblings.site_id = shapes.site_id
        and siblings.meter_id = shapes.meter_id
        and siblings.register = shapes.register
        and siblings.local_date = shapes.local_date
    order by
        date_trunc('month', shapes.local_date), shapes.site_id, shapes.meter_id, shapes.register, shapes.local_date
)

select * from final
