-- The highest interval of a period. One that stands beside an empty interval (0) may hold the energy of both: it is no
-- peak, and the next one counts. Where days often have their highest value beside an empty interval (a pump that starts
-- and stops, a register in coarse steps), that is how the meter is, and says nothing.
with

-- The first interval of a day has its neighbour in the day before, the last one in the day after.
days as (
    select
        counted.site_id,
        counted.meter_id,
        counted.period_from,
        counted.is_billed,
        counted.peak,
        counted.peak_at_utc,
        case when coalesce(before.last_total <> 0, true) then of_day.first_power end as sound_first,
        case when coalesce(after.first_total <> 0, true) then of_day.last_power end as sound_last,
        greatest(of_day.inner_peak, sound_first, sound_last) as sound_peak,
        case
            when sound_peak = sound_first then counted.day_start_utc
            when sound_peak = of_day.inner_peak then of_day.inner_peak_at_utc
            else make_timestamptz(epoch_us(counted.day_end_utc) - counted.interval_minutes * 60000000::bigint)
        end as sound_peak_at_utc
    from {{ ref('int_counted_days') }} as counted
    inner join {{ ref('meter_days') }} as of_day
        on of_day.site_id = counted.site_id
        and of_day.meter_id = counted.meter_id
        and of_day.local_date = counted.local_date
    left join {{ ref('meter_days') }} as before
        on before.site_id = counted.site_id
        and before.meter_id = counted.meter_id
        and before.local_date = counted.local_date - 1
    left join {{ ref('meter_days') }} as after
        on after.site_id = counted.site_id
        and after.meter_id = counted.meter_id
        and after.local_date = counted.local_date + 1
    where counted.peak is not null
),

peaks as (
    select
        site_id,
        meter_id,
        period_from,
        max(peak) as peak,
        -- Of equal peaks the first.
        arg_max(peak_at_utc, (peak, -epoch_us(peak_at_utc))) as peak_at_utc,
        max(peak) filter (where is_billed) as billed_peak,
        max(sound_peak) as sound_peak,
        arg_max(sound_peak_at_utc, (sound_peak, -epoch_us(sound_peak_at_utc))) filter (where sound_peak is not null)
            as sound_peak_at_utc,
        max(sound_peak) filter (where is_billed) as billed_sound_peak,
        max(sound_peak) is not null
        and count(*) filter (where sound_peak is null or sound_peak < peak) <= greatest(1, count(*) // 2) as is_told
    from days
    group by site_id, meter_id, period_from
)

select
    site_id,
    meter_id,
    period_from,
    case when is_told then sound_peak else peak end as peak,
    case when is_told then sound_peak_at_utc else peak_at_utc end as peak_at_utc,
    case when is_told then billed_sound_peak else billed_peak end as billed_peak,
    case when is_told and peak > sound_peak then peak end as lone_peak,
    case when is_told and peak > sound_peak then peak_at_utc end as lone_peak_at_utc
from peaks
