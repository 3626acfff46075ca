{{ config(order_by="billing_month, site_id, meter_id, local_date") }}

with

coverage as (
    select
        site_id,
        subject_id as meter_id,
        local_date,
        state,
        interval_minutes,
        expected,
        first_asked_at_utc,
        last_asked_at_utc,
        last_changed_at_utc,
        equal_after_month
    from {{ ref('coverage_days') }}
    where dataset = 'meter_intervals' and {{ is_being_built() }}
),

meter_dates as (
    select site_id, meter_id, local_date from coverage
    union
    select site_id, meter_id, local_date from {{ ref('int_interval_sums_daily') }}
    union
    select site_id, meter_id, local_date from {{ ref('int_revised_intervals_daily') }}
),

described as (
    select
        site_id,
        meter_id,
        local_date,
        calendar.billing_month,
        calendar.day_start_utc,
        calendar.day_end_utc,
        calendar.zone,
        meters.has_split,
        sums.* exclude (
            site_id, meter_id, local_date, intervals_present, intervals_null, intervals_negative, inner_peak,
            inner_peak_at_utc
        ),
        coverage.state as coverage_state,
        coverage.expected as coverage_expected,
        coverage.first_asked_at_utc as first_fetched_at_utc,
        coverage.last_asked_at_utc as last_fetched_at_utc,
        coverage.last_changed_at_utc,
        coverage.equal_after_month,
        coalesce(nullif(coverage.interval_minutes, 0), nullif(sums.minutes, 0), 15)::integer as interval_minutes,
        coalesce(sums.intervals_present, 0) as intervals_present,
        coalesce(sums.intervals_null, 0) as intervals_null,
        coalesce(sums.intervals_negative, 0) as intervals_negative,
        coalesce(revised.intervals_revised, 0) as intervals_revised,
        coalesce(gaps.gap_minutes, 0) as inner_gap_minutes,
        coalesce(repeats.longest_repeat, least(sums.intervals_present, 1), 0)::integer as longest_repeat,
        repeats.repeated_total,
        case when sums.intervals_zero > 0 then lone.inner_peak else sums.inner_peak end as inner_peak_beside_none,
        case when sums.intervals_zero > 0 then lone.inner_peak_at_utc else sums.inner_peak_at_utc end
            as inner_peak_beside_none_at_utc,
        case when sums.intervals_zero > 0 then lone.first_power else sums.first_total * 60 / nullif(sums.minutes, 0) end
            as first_power,
        case when sums.intervals_zero > 0 then lone.last_power else sums.last_total * 60 / nullif(sums.minutes, 0) end
            as last_power
    from meter_dates
    inner join {{ ref('int_meters') }} as meters using (site_id, meter_id)
    inner join {{ ref('int_site_calendar') }} as calendar using (site_id, local_date)
    left join coverage using (site_id, meter_id, local_date)
    left join {{ ref('int_interval_sums_daily') }} as sums using (site_id, meter_id, local_date)
    left join {{ ref('int_inner_gaps_daily') }} as gaps using (site_id, meter_id, local_date)
    left join {{ ref('int_repeats_daily') }} as repeats using (site_id, meter_id, local_date)
    left join {{ ref('int_lone_intervals_daily') }} as lone using (site_id, meter_id, local_date)
    left join {{ ref('int_revised_intervals_daily') }} as revised using (site_id, meter_id, local_date)
),

measured as (
    select
        *,
        -- A daily value counts once on a change day too, although 23 hours hold no whole 24. Coverage expects less on
        -- the day on which a site was created.
        least(
            greatest(1, round((epoch_us(day_end_utc) - epoch_us(day_start_utc)) / 60000000.0 / interval_minutes)),
            coverage_expected
        )::integer as intervals_expected,
        {{ minutes_between('day_start_utc', 'coalesce(first_value_utc, day_end_utc)') }} as gap_at_start_minutes,
        {{ minutes_between('coalesce(last_value_utc, day_start_utc)', 'day_end_utc') }} as gap_at_end_minutes,
        {{ minutes_between('day_start_utc', 'coalesce(first_row_utc, day_end_utc)') }} as minutes_before_first_row,
        {{ minutes_between('coalesce(last_row_utc, day_start_utc)', 'day_end_utc') }} as minutes_after_last_row
    from described
)

select
    site_id,
    meter_id,
    local_date,
    billing_month,
    day_start_utc,
    day_end_utc,
    zone,
    total,
    solar,
    grid,
    has_split,
    interval_minutes,
    intervals_expected,
    intervals_present,
    greatest(0, intervals_expected - intervals_present - intervals_null) as intervals_missing,
    intervals_null,
    intervals_negative,
    intervals_revised,
    case when has_split then coalesce(intervals_without_split, 0) else 0 end as intervals_without_split,
    coalesce(intervals_off_grid, 0) as intervals_off_grid,
    -- 65.535 kWh can be measured; where it towers over all else of the day, it was not.
    coalesce(sure_sentinels, 0)
        + case when possible_sentinels > 0 and coalesce(highest_other, 0) < 3 then possible_sentinels else 0 end
        as intervals_sentinel,
    coverage_state,
    first_fetched_at_utc,
    last_fetched_at_utc,
    last_changed_at_utc,
    equal_after_month,
    peak,
    peak_at_utc,
    inner_peak_beside_none as inner_peak,
    inner_peak_beside_none_at_utc as inner_peak_at_utc,
    first_power::decimal(18, 6) as first_power,
    last_power::decimal(18, 6) as last_power,
    first_total,
    last_total,
    first_nonzero_utc,
    last_nonzero_utc,
    greatest(gap_at_start_minutes, inner_gap_minutes, gap_at_end_minutes)::integer as longest_gap_minutes,
    gap_at_start_minutes,
    gap_at_end_minutes,
    minutes_before_first_row,
    minutes_after_last_row,
    split_error,
    lowest,
    longest_repeat,
    repeated_total,
    decimals,
    content_hash
from measured
