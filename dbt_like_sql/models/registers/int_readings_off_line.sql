{{ config(materialized='by_day', reach_days=3) }}
{# Days before and after a reading in which the register has to be seen on its line again; build.py has it as reach_days. #}
{% set reach_days = 3 %}
{# What a register may count meanwhile: this share of its index, or so much. #}
{% set plausible_share = 0.05 %}
{% set plausible_rise = 100 %}
{# Readings that only count up, zeros left out, by which an index is told from consumption per interval. #}
{% set readings_of_an_index = 10 %}

-- Registers know no days: a reading that is off the line between those around it is no index, wherever midnight is. Nor
-- are zeros, however many, after which the register goes on where it was: it was out of reach, not replaced.
with

suspect_days as (
    select
        site_id,
        meter_id,
        register,
        local_date
    from {{ ref('int_reading_bounds_daily') }}
    where local_date between {{ built_from() }} - {{ 2 * reach_days }} and {{ built_until() }} + {{ 2 * reach_days }}
    window series as (partition by site_id, meter_id, register order by local_date)
    qualify
        last_reading < highest
        or first_reading > lowest
        or first_reading < lag(last_reading) over series
        or last_reading > lead(first_reading) over series
        or (lowest = 0 and (lag(highest) over series > 0 or lead(highest) over series > 0))
),

suspects as (
    select distinct site_id, meter_id, register
    from suspect_days
),

readings as (
    select
        site_id,
        meter_id,
        register,
        local_date,
        read_at_utc,
        reading,
        other,
        nullif(reading, 0) as counted
    from (
        select
            site_id, meter_id, local_date, read_at_utc, 'import' as register,
            {{ index_of('index_import_kwh') }} as reading, {{ index_of('index_export_kwh') }} as other
        from {{ ref('meter_indices') }}
        union all
        select
            site_id, meter_id, local_date, read_at_utc, 'export', {{ index_of('index_export_kwh') }},
            {{ index_of('index_import_kwh') }}
        from {{ ref('meter_indices') }}
        union all
        select site_id, meter_id, local_date, read_at_utc, 'heat', {{ index_of('heat_kwh') }}, null
        from {{ ref('meter_indices') }}
        union all
        select site_id, meter_id, local_date, read_at_utc, 'volume', {{ index_of('volume_m3') }}, null
        from {{ ref('meter_indices') }}
    )
    semi join suspects using (site_id, meter_id, register)
    where
        reading is not null
        and local_date between {{ built_from() }} - {{ reach_days }} and {{ built_until() }} + {{ reach_days }}
),

neighbours as (
    select
        *,
        -- The register's way around the reading, zeros left out.
        last_value(counted ignore nulls) over before as line_before,
        first_value(counted ignore nulls) over after as line_after,
        lag(reading) over line as reading_before,
        lead(reading) over line as reading_after,
        lag(local_date) over line is distinct from local_date or lead(local_date) over line is distinct from local_date
            as is_at_edge,
        count(counted) over around as readings_around,
        count(*) filter (where counted < previous) over around as falls_around
    from (
        select
            *,
            last_value(counted ignore nulls) over (
                partition by site_id, meter_id, register order by read_at_utc
                rows between unbounded preceding and 1 preceding
            ) as previous
        from readings
    )
    window
        line as (partition by site_id, meter_id, register order by read_at_utc),
        before as (
            partition by site_id, meter_id, register order by read_at_utc
            range between interval {{ reach_days }} days preceding and current row exclude group
        ),
        after as (
            partition by site_id, meter_id, register order by read_at_utc
            range between current row and interval {{ reach_days }} days following exclude group
        ),
        around as (
            partition by site_id, meter_id, register order by read_at_utc
            range between interval {{ reach_days }} days preceding and interval {{ reach_days }} days following
        )
)

select
    site_id,
    meter_id,
    register,
    local_date,
    read_at_utc
from neighbours
where
    line_after between line_before
        and line_before + greatest({{ plausible_rise }}, line_before * {{ plausible_share }})
    -- Beside itself, nothing falls; consumption per interval does all the time.
    and falls_around <= 1
    and (
        readings_around >= {{ readings_of_an_index }}
        or (line_before >= {{ plausible_rise }} and line_after <= line_before * (1 + {{ plausible_share }}))
    )
    and (
        -- Where the other column shows what this one should, the two changed places.
        (reading = 0 and not coalesce(
            other between line_before and line_before + greatest({{ plausible_rise }}, line_before * 0.01), false
        ))
        or (
            reading > 0
            and is_at_edge
            and reading_before = line_before
            and reading_after = line_after
            and reading not between reading_before and reading_after
        )
    )
