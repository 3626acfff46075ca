{{ config(materialized='by_day', order_by='site_id, meter_id, register, local_date') }}

with

-- On a day that only counts up, what was read first is the lowest. Nothing but glitches leaves no index.
days as (
    select
        site_id,
        meter_id,
        register,
        local_date,
        series.zone,
        series.has_split,
        series.usual_register,
        calendar.day_start_utc,
        calendar.day_end_utc,
        readings.readings,
        readings.readings_sum,
        coalesce(lines.first_read_at_utc, readings.first_read_at_utc) as first_read_at_utc,
        coalesce(lines.last_read_at_utc, readings.last_read_at_utc) as last_read_at_utc,
        coalesce(lines.first_index, readings.lowest) as first_index,
        coalesce(lines.last_index, readings.highest) as last_index,
        coalesce(lines.decimals, readings.decimals) as decimals,
        readings.falls,
        readings.rises,
        readings.readings_absurd + coalesce(lines.glitches, 0) as glitches
    from {{ ref('int_readings_daily') }} as readings
    inner join {{ ref('int_register_series') }} as series using (site_id, meter_id, register)
    inner join {{ ref('calendar_days') }} as calendar using (zone, local_date)
    left join {{ ref('int_register_lines_daily') }} as lines using (site_id, meter_id, register, local_date)
),

-- What the validated intervals say of the time before the day's first reading and after its last.
around as (
    select
        days.site_id,
        days.meter_id,
        days.register,
        days.local_date,
        {{ stated_between('days.day_start_utc', 'days.first_read_at_utc') }} as before_first_stated,
        {{ open_between('days.day_start_utc', 'days.first_read_at_utc') }} as before_first_open,
        {{ covered_between('days.day_start_utc', 'days.first_read_at_utc') }} as before_first_covered,
        {{ stated_between('days.last_read_at_utc', 'days.day_end_utc') }} as after_last_stated,
        {{ open_between('days.last_read_at_utc', 'days.day_end_utc') }} as after_last_open,
        {{ covered_between('days.last_read_at_utc', 'days.day_end_utc') }} as after_last_covered
    from days
    inner join {{ ref('meter_intervals') }} as intervals
        on intervals.site_id = days.site_id
        and intervals.meter_id = days.meter_id
        and intervals.local_date = days.local_date
        and (
            intervals.interval_start_utc < days.first_read_at_utc
            or intervals.interval_end_utc > days.last_read_at_utc
        )
    group by days.site_id, days.meter_id, days.register, days.local_date
),

-- What lies between the readings around cuts is not counted; a rollover is no cut.
cut_days as (
    select
        site_id,
        meter_id,
        register,
        local_date,
        bool_or(is_spared) as is_jumping,
        coalesce(sum(
            index_after - index_before
            - case when cut = 'rollover' then {{ rollover_advance('index_before', 'index_after') }} else 0 end
        ) filter (where not is_spared), 0) as passed_over
    from {{ ref('int_register_cuts_daily') }}
    group by site_id, meter_id, register, local_date
)

select
    days.*,
    coalesce(cut_days.is_jumping, false) as is_jumping,
    {% for part, since, until in [
        ('before_first', 'day_start_utc', 'first_read_at_utc'), ('after_last', 'last_read_at_utc', 'day_end_utc')
    ] %}
    case when days.first_read_at_utc is not null then coalesce(around.{{ part }}_stated, 0) end as {{ part }}_stated,
    case when days.first_read_at_utc is not null then coalesce(around.{{ part }}_open, 0) end as {{ part }}_open,
    coalesce(around.{{ part }}_covered, 0) = epoch_us(days.{{ until }}) - epoch_us(days.{{ since }})
        as is_{{ part }}_whole,
    {% endfor %}
    -- From the first to the last reading of the day.
    (days.last_index - days.first_index - coalesce(cut_days.passed_over, 0))::decimal(18, 6) as advance
from days
left join around using (site_id, meter_id, register, local_date)
left join cut_days using (site_id, meter_id, register, local_date)
