{{ config(materialized='by_day') }}

-- Most days only count up, by little or by what the intervals state: reading after reading is looked at on the others
-- alone.
with

uneven_days as (
    select
        site_id,
        meter_id,
        local_date
    from {{ ref('int_readings_daily') }}
    group by site_id, meter_id, local_date
    having bool_or(falls > 0 or largest_rise > 10)
),

uneven_readings as (
    select
        meter_number,
        {{ series_number('meter_number', 'register') }} as series_number,
        local_date,
        read_at_utc,
        reading
    from (
        select readings.* exclude (site_id, meter_id)
        from {{ ref('int_register_readings') }} as readings
        inner join uneven_days using (site_id, meter_id, local_date)
    ) unpivot (reading for register in (import, export, heat, volume))
    where {{ is_reached('reading') }}
),

neighbours as (
    select
        *,
        lag(read_at_utc) over series_day as before_at_utc,
        lag(reading) over series_day as before,
        lead(reading) over series_day as after
    from uneven_readings
    window series_day as (partition by series_number, local_date order by read_at_utc)
),

-- A large meter goes up by more than 10 all day long; where the one interval between two readings states it, it is no
-- jump.
suspect_days as (
    select distinct
        neighbours.meter_number,
        neighbours.local_date
    from neighbours
    inner join {{ ref('int_register_series') }} as series using (series_number)
    left join {{ ref('meter_intervals') }} as intervals
        on intervals.site_id = series.site_id
        and intervals.meter_id = series.meter_id
        and intervals.local_date = neighbours.local_date
        and intervals.interval_start_utc = neighbours.before_at_utc
        and intervals.interval_end_utc = neighbours.read_at_utc
    where
        neighbours.before is not null
        and not {{ is_plain('neighbours.before', 'neighbours.reading') }}
        and (
            neighbours.reading < neighbours.before
            or coalesce({{ unit_change('neighbours.before', 'neighbours.reading') }} = 'larger', false)
            or (
                {{ is_comparable('series') }}
                and coalesce(
                    {{ is_unexplained('neighbours.before', 'neighbours.reading', quantity('intervals.total')) }}, true
                )
            )
        )
),

-- A single reading off the line between its neighbours is a glitch, no replacement: the register goes on where it was.
suspect_readings as (
    select
        *,
        coalesce(before <= after and (reading < before or reading > after), false) as is_glitch
    from neighbours
    inner join suspect_days using (meter_number, local_date)
)

select
    series.site_id,
    series.meter_id,
    series.register,
    local_date,
    read_at_utc,
    reading,
    is_glitch,
    case when not is_glitch then lag(read_at_utc) over line end as before_at_utc,
    case when not is_glitch then lag(reading) over line end as before
from suspect_readings
inner join {{ ref('int_register_series') }} as series using (series_number)
window line as (partition by series_number, local_date, is_glitch order by read_at_utc)
