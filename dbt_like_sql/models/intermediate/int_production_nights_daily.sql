{{ config(
    materialized='incremental',
    incremental_strategy='append',
    pre_hook="{{ delete_days_to_build(['meter_intervals']) }}"
) }}
{% set days_to_build_now = days_to_build(['meter_intervals']) %}

with

versions as (
    select * from {{ ref('stg_climkit__meter_intervals') }}
    where {{ days_to_build_now }}
),

meters as (
    select * from {{ ref('int_meters') }}
),

-- Where the sun stands at the middle of the interval: the day of the year for the season (declination after Cooper,
-- 1969), UTC hours and the longitude for the time of day. Good to a degree or two, and a quarter of an hour of the
-- sun's own time, hence the margin below.
suns as (
    select
        versions.site_id,
        versions.meter_id,
        versions.local_date,
        meters.plant_latitude,
        versions.total,
        radians(23.45) * sin(2 * pi() * (dayofyear(versions.local_date) + 284) / 365.0) as declination,
        radians(
            (epoch_us(versions.interval_start_utc) + epoch_us(versions.interval_end_utc)) / 2 % 86400000000
                / 86400000000.0 * 360 - 180 + meters.plant_longitude
        ) as hour_angle
    from versions
    inner join meters
        on meters.site_id = versions.site_id
        and meters.meter_id = versions.meter_id
    where
        versions.superseded_at_utc is null
        and abs(versions.total) < 1e8
        and meters.plant_latitude is not null
        and meters.plant_longitude is not null
),

final as (
    select
        site_id,
        meter_id,
        local_date,
        -- 8 degrees below the horizon: dark, whatever the refraction and the step of the formula.
        coalesce(sum(total::decimal(18, 6)) filter (
            where
                sin(radians(plant_latitude)) * sin(declination)
                + cos(radians(plant_latitude)) * cos(declination) * cos(hour_angle) < -0.139
        ), 0)::decimal(18, 6) as night_total
    from suns
    group by site_id, meter_id, local_date
    order by date_trunc('month', local_date), site_id, meter_id, local_date
)

select * from final
