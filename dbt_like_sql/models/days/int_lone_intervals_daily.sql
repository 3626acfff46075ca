-- Days with an empty interval (0) and others: what stands beside an empty one may hold the energy of both, as when a
-- gateway repeats what it read last. Most days have none, and a window over every row is dear.
with

neighbours as (
    select
        site_id,
        meter_id,
        local_date,
        interval_start_utc,
        interval_start_utc = day_start_utc as is_first,
        interval_end_utc = day_end_utc as is_last,
        (total * 60 / nullif(minutes, 0))::decimal(18, 6) as power,
        -- A plant begins and ends its day beside zeros.
        coalesce(
            lag(total) over meter_day = 0
            and (interval_start_utc > days.first_nonzero_utc or usual_register is distinct from 'export'),
            false
        )
        or coalesce(
            lead(total) over meter_day = 0
            and (interval_end_utc < days.last_nonzero_utc or usual_register is distinct from 'export'),
            false
        ) as is_beside_zero
    from {{ ref('int_interval_rows') }}
    inner join (
        select sums.site_id, sums.meter_id, sums.local_date, first_nonzero_utc, last_nonzero_utc, usual_register
        from {{ ref('int_interval_sums_daily') }} as sums
        inner join {{ ref('int_meters') }} using (site_id, meter_id)
        where intervals_zero > 0 and peak > 0
    ) as days using (site_id, meter_id, local_date)
    window meter_day as (partition by site_id, meter_id, local_date order by interval_start_utc)
)

select
    site_id,
    meter_id,
    local_date,
    max(power) filter (where not is_first and not is_last) as inner_peak,
    arg_max(interval_start_utc, (power, -epoch_us(interval_start_utc)))
        filter (where power is not null and not is_first and not is_last) as inner_peak_at_utc,
    max(power) filter (where is_first) as first_power,
    max(power) filter (where is_last) as last_power
from neighbours
where not is_beside_zero
group by site_id, meter_id, local_date
