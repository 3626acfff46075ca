with

-- Where the sun stands at the middle of the interval: the day of the year for the season (declination after Cooper,
-- 1969), UTC hours and the longitude for the time of day. Good to a degree or two, and a quarter of an hour of the
-- sun's own time, hence the margin below.
suns as (
    select
        intervals.site_id,
        intervals.meter_id,
        intervals.local_date,
        intervals.total,
        radians(meters.plant_latitude) as latitude,
        radians(23.45) * sin(2 * pi() * (dayofyear(intervals.local_date) + 284) / 365.0) as declination,
        radians(
            (epoch_us(intervals.interval_start_utc) + epoch_us(intervals.interval_end_utc)) / 2 % 86400000000
                / 86400000000.0 * 360 - 180 + meters.plant_longitude
        ) as hour_angle
    from {{ ref('meter_intervals') }} as intervals
    inner join {{ ref('int_meters') }} as meters
        on meters.site_id = intervals.site_id
        and meters.meter_id = intervals.meter_id
        and meters.plant_latitude is not null
        and meters.plant_longitude is not null
    where abs(intervals.total) < 1e8
)

select
    site_id,
    meter_id,
    local_date,
    -- 8 degrees below the horizon: dark, whatever the refraction and the formula's own error.
    coalesce(sum(total::decimal(18, 6)) filter (
        where sin(latitude) * sin(declination) + cos(latitude) * cos(declination) * cos(hour_angle) < -0.139
    ), 0)::decimal(18, 6) as night_total
from suns
group by site_id, meter_id, local_date
