with

-- What was read at the very instant was still read of the old device.
replacement_days as (
    select
        replacements.site_id,
        replacements.meter_id,
        calendar.local_date,
        replacements.replaced_at_utc
    from {{ ref('int_hidden_replacements') }} as replacements
    inner join {{ ref('int_meters') }} as meters using (site_id, meter_id)
    inner join {{ ref('calendar_days') }} as calendar
        on calendar.zone = meters.zone
        and calendar.day_start_utc <= replacements.replaced_at_utc
        and calendar.day_end_utc > replacements.replaced_at_utc
),

-- Where reading after reading was looked at, glitches are known; on other days there is none.
line_pairs as (
    select
        replaced.*,
        pairs.register,
        pairs.before_at_utc,
        pairs.read_at_utc,
        pairs.before as index_before,
        pairs.reading as index_after
    from replacement_days as replaced
    inner join {{ ref('int_reading_pairs_daily') }} as pairs
        on pairs.site_id = replaced.site_id
        and pairs.meter_id = replaced.meter_id
        and pairs.local_date = replaced.local_date
        and pairs.before_at_utc <= replaced.replaced_at_utc
        and pairs.read_at_utc > replaced.replaced_at_utc
),

plain_readings as (
    from (
        select
            readings.* exclude (meter_number),
            replaced.replaced_at_utc
        from {{ ref('int_register_readings') }} as readings
        inner join replacement_days as replaced using (site_id, meter_id, local_date)
        anti join {{ ref('int_reading_pairs_daily') }} using (site_id, meter_id, local_date)
    ) unpivot (reading for register in (import, export, heat, volume))
),

plain_pairs as (
    select
        site_id,
        meter_id,
        local_date,
        replaced_at_utc,
        register,
        max(read_at_utc) filter (where read_at_utc <= replaced_at_utc) as before_at_utc,
        min(read_at_utc) filter (where read_at_utc > replaced_at_utc) as read_at_utc,
        max(reading) filter (where read_at_utc <= replaced_at_utc) as index_before,
        min(reading) filter (where read_at_utc > replaced_at_utc) as index_after
    from plain_readings as readings
    where {{ is_reached('reading') }}
    group by site_id, meter_id, local_date, replaced_at_utc, register
),

pairs as (
    select * from line_pairs
    union all by name
    select * from plain_pairs where before_at_utc is not null and read_at_utc is not null
)

select
    pairs.*,
    {{ stated_between('pairs.before_at_utc', 'pairs.read_at_utc') }} as total_between,
    {{ open_between('pairs.before_at_utc', 'pairs.read_at_utc') }} as open_between
from pairs
left join {{ ref('meter_intervals') }} as intervals
    on intervals.site_id = pairs.site_id
    and intervals.meter_id = pairs.meter_id
    and intervals.local_date = pairs.local_date
    and intervals.interval_start_utc < pairs.read_at_utc
    and intervals.interval_end_utc > pairs.before_at_utc
group by all
order by site_id, meter_id, register, replaced_at_utc
