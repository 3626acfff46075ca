with

-- Most days are whole, and a window over every row is dear.
lacking_days as (
    select
        site_id,
        meter_id,
        local_date
    from {{ ref('int_interval_sums_daily') }}
    where minutes_with_value < minutes_of_day
),

gaps as (
    select
        site_id,
        meter_id,
        local_date,
        (
            epoch_us(interval_start_utc)
            - lag(epoch_us(interval_end_utc)) over (partition by site_id, meter_id, local_date order by interval_start_utc)
        ) // 60000000 as gap_minutes
    from {{ ref('int_interval_rows') }}
    semi join lacking_days using (site_id, meter_id, local_date)
    where total is not null
)

select
    site_id,
    meter_id,
    local_date,
    max(gap_minutes) as gap_minutes
from gaps
group by site_id, meter_id, local_date
