{{ config(
    materialized='incremental',
    incremental_strategy='append',
    pre_hook="{{ delete_days_to_build(['meter_intervals'], 'any') }}"
) }}
{% set days_to_build_now = days_to_build(['meter_intervals'], 'any') %}

with

versions as (
    select * from {{ ref('stg_climkit__meter_intervals') }}
    where {{ days_to_build_now }}
),

coverage as (
    select * from {{ ref('coverage_days') }}
    where dataset = 'meter_intervals' and {{ days_to_build_now }}
),

meters as (
    select * from {{ ref('int_meters') }}
),

zones as (
    select * from {{ ref('int_site_zones') }}
),

calendar as (
    select * from {{ ref('calendar_days') }}
),

site_days as (
    select
        zones.site_id,
        calendar.*
    from zones
    inner join calendar on calendar.zone = zones.zone
),

-- Only an interval that starts inside the local day counts for it. What cannot be a quantity counts as null: no meter
-- measures 100 million kWh in one interval, and one such number must not stop every model.
current_rows as (
    select
        versions.site_id,
        versions.meter_id,
        versions.local_date,
        versions.interval_start_utc,
        versions.interval_end_utc,
        site_days.day_start_utc,
        site_days.day_end_utc,
        (epoch_us(versions.interval_end_utc) - epoch_us(versions.interval_start_utc)) // 60000000 as minutes,
        {{ is_off_grid('versions', 'site_days.day_start_utc') }} as is_off_grid,
        {% for quantity in ['total', 'solar', 'grid'] %}
        case when abs(versions.{{ quantity }}) < 1e8 then versions.{{ quantity }}::decimal(18, 6) end as {{ quantity }}
        {{- ',' if not loop.last }}
        {% endfor %}
    from versions
    inner join site_days
        on site_days.site_id = versions.site_id
        and site_days.local_date = versions.local_date
        and site_days.day_start_utc <= versions.interval_start_utc
        and site_days.day_end_utc > versions.interval_start_utc
    where versions.superseded_at_utc is null
),

sums as (
    select
        site_id,
        meter_id,
        local_date,
        min(minutes) as minutes,
        sum(total)::decimal(18, 6) as total,
        sum(solar)::decimal(18, 6) as solar,
        sum(grid)::decimal(18, 6) as grid,
        count(total) as intervals_present,
        count(*) - count(total) as intervals_null,
        count(*) filter (where total < 0 or solar < 0 or grid < 0) as intervals_negative,
        count(*) filter (where total > 0 and (solar is null or grid is null)) as intervals_without_split,
        count(*) filter (where is_off_grid) as intervals_off_grid,
        count(*) filter (where total in ({{ sentinel_values() }})) as sure_sentinels,
        count(*) filter (where total in ({{ possible_sentinel_values() }})) as possible_sentinels,
        max(total) filter (where total not in ({{ possible_sentinel_values() }})) as highest_other,
        max(abs(total - solar - grid)) as split_error,
        min(least(total, solar, grid)) as lowest,
        -- The first of equal peaks: a struct compares field by field.
        max({
            'power': (total * 60 / nullif(minutes, 0))::decimal(18, 6), 'earliness': -epoch_us(interval_start_utc)
        }) filter (where total is not null) as peak,
        min(interval_start_utc) filter (where total <> 0) as first_nonzero_utc,
        max(interval_end_utc) filter (where total <> 0) as last_nonzero_utc,
        min(interval_start_utc) filter (where total is not null) as first_value_utc,
        max(interval_end_utc) filter (where total is not null) as last_value_utc,
        min(interval_start_utc) as first_row_utc,
        max(interval_end_utc) as last_row_utc,
        coalesce(sum(minutes) filter (where total is not null), 0) as minutes_with_value,
        any_value(epoch_us(day_end_utc) - epoch_us(day_start_utc)) // 60000000 as minutes_of_day,
        max({{ decimals_of('total') }}) as decimals,
        -- A sum of hashes does not depend on the order of rows, and needs no memory for a sort.
        md5(concat_ws(':', count(*), sum(md5_number_lower(concat_ws(
            ':', epoch_us(interval_start_utc) // 60000000, minutes,
            coalesce(total::varchar, '-'), coalesce(solar::varchar, '-'), coalesce(grid::varchar, '-')
        ))::hugeint))) as content_hash
    from current_rows
    group by site_id, meter_id, local_date
),

-- Inner gaps only where something is missing: most days are whole, and a window over every row is dear.
inner_gaps as (
    select
        site_id,
        meter_id,
        local_date,
        max(gap_minutes) as gap_minutes
    from (
        select
            site_id,
            meter_id,
            local_date,
            (
                epoch_us(interval_start_utc)
                - lag(epoch_us(interval_end_utc)) over (partition by site_id, meter_id, local_date order by interval_start_utc)
            ) // 60000000 as gap_minutes
        from current_rows
        semi join (from sums where minutes_with_value < minutes_of_day) using (site_id, meter_id, local_date)
        where total is not null
    )
    group by site_id, meter_id, local_date
),

-- Most days repeat nothing three times, so runs are counted on the others alone.
neighbours as (
    select
        site_id,
        meter_id,
        local_date,
        total,
        lag(total, 1) over meter_day as one_before,
        lag(total, 2) over meter_day as two_before
    from current_rows
    window meter_day as (partition by site_id, meter_id, local_date order by interval_start_utc)
),

repeating_days as (
    select distinct
        site_id,
        meter_id,
        local_date
    from neighbours
    where total <> 0 and total = one_before and total = two_before
),

value_changes as (
    select
        site_id,
        meter_id,
        local_date,
        interval_start_utc,
        total,
        total is distinct from lag(total) over meter_day as is_other
    from current_rows
    semi join repeating_days using (site_id, meter_id, local_date)
    window meter_day as (partition by site_id, meter_id, local_date order by interval_start_utc)
),

repeat_runs as (
    select
        site_id,
        meter_id,
        local_date,
        total,
        sum(is_other::integer)
            over (partition by site_id, meter_id, local_date order by interval_start_utc rows unbounded preceding) as run
    from value_changes
),

run_lengths as (
    select
        site_id,
        meter_id,
        local_date,
        total,
        count(*) as intervals
    from repeat_runs
    where total <> 0
    group by site_id, meter_id, local_date, total, run
),

repeats as (
    select
        site_id,
        meter_id,
        local_date,
        max({'intervals': intervals, 'total': total}) as longest
    from run_lengths
    where intervals > 2
    group by site_id, meter_id, local_date
),

closed_keys as (
    select distinct
        local_date,
        site_id,
        meter_id,
        interval_start_utc
    from versions
    where superseded_at_utc is not null
),

-- A withdrawn row has no successor: all of its values differ from nothing.
successions as (
    select
        versions.*,
        lead(versions.total) over versions_in_order as next_total,
        lead(versions.solar) over versions_in_order as next_solar,
        lead(versions.grid) over versions_in_order as next_grid
    from versions
    semi join closed_keys using (local_date, site_id, meter_id, interval_start_utc)
    window versions_in_order as (
        partition by versions.local_date, versions.site_id, versions.meter_id, versions.interval_start_utc
        order by versions.superseded_at_utc nulls last, versions.fetched_at_utc
    )
),

revisions as (
    select
        site_id,
        meter_id,
        local_date,
        count(distinct interval_start_utc) as intervals_revised
    from successions
    where
        superseded_at_utc is not null
        and (total, solar, grid) is distinct from (next_total, next_solar, next_grid)
    group by site_id, meter_id, local_date
),

meter_dates as (
    select site_id, subject_id as meter_id, local_date from coverage
    union
    select site_id, meter_id, local_date from sums
    union
    select site_id, meter_id, local_date from revisions
),

described as (
    select
        meter_dates.site_id,
        meter_dates.meter_id,
        meter_dates.local_date,
        site_days.billing_month,
        site_days.day_start_utc,
        site_days.day_end_utc,
        meters.zone,
        meters.has_split,
        sums.total,
        sums.solar,
        sums.grid,
        coalesce(nullif(coverage.interval_minutes, 0), nullif(sums.minutes, 0), 15)::integer as interval_minutes,
        coalesce(sums.intervals_present, 0)::integer as intervals_present,
        coalesce(sums.intervals_null, 0)::integer as intervals_null,
        coalesce(sums.intervals_negative, 0)::integer as intervals_negative,
        coalesce(revisions.intervals_revised, 0)::integer as intervals_revised,
        case when meters.has_split then coalesce(sums.intervals_without_split, 0) else 0 end::integer
            as intervals_without_split,
        coverage.state as coverage_state,
        coverage.expected as coverage_expected,
        coverage.first_asked_at_utc as first_fetched_at_utc,
        coverage.last_asked_at_utc as last_fetched_at_utc,
        coverage.last_changed_at_utc,
        coverage.equal_after_month,
        coalesce(sums.intervals_off_grid, 0)::integer as intervals_off_grid,
        -- 65.535 kWh can be measured; where it towers over all else of the day, it was not.
        (
            coalesce(sums.sure_sentinels, 0)
            + case when sums.possible_sentinels > 0 and coalesce(sums.highest_other, 0) < 3
                then sums.possible_sentinels else 0 end
        )::integer as intervals_sentinel,
        sums.split_error,
        sums.lowest,
        sums.peak.power as peak,
        make_timestamptz(-sums.peak.earliness) as peak_at_utc,
        sums.first_nonzero_utc,
        sums.last_nonzero_utc,
        (epoch_us(coalesce(sums.first_value_utc, site_days.day_end_utc)) - epoch_us(site_days.day_start_utc))
            // 60000000 as gap_at_start_minutes,
        (epoch_us(site_days.day_end_utc) - epoch_us(coalesce(sums.last_value_utc, site_days.day_start_utc)))
            // 60000000 as gap_at_end_minutes,
        (epoch_us(coalesce(sums.first_row_utc, site_days.day_end_utc)) - epoch_us(site_days.day_start_utc))
            // 60000000 as minutes_before_first_row,
        (epoch_us(site_days.day_end_utc) - epoch_us(coalesce(sums.last_row_utc, site_days.day_start_utc)))
            // 60000000 as minutes_after_last_row,
        coalesce(inner_gaps.gap_minutes, 0) as inner_gap_minutes,
        coalesce(repeats.longest.intervals, least(sums.intervals_present, 1), 0)::integer as longest_repeat,
        repeats.longest.total as repeated_total,
        sums.decimals::integer as decimals,
        sums.content_hash
    from meter_dates
    inner join meters
        on meters.site_id = meter_dates.site_id
        and meters.meter_id = meter_dates.meter_id
    inner join site_days
        on site_days.site_id = meter_dates.site_id
        and site_days.local_date = meter_dates.local_date
    left join coverage
        on coverage.site_id = meter_dates.site_id
        and coverage.subject_id = meter_dates.meter_id
        and coverage.local_date = meter_dates.local_date
    left join sums
        on sums.site_id = meter_dates.site_id
        and sums.meter_id = meter_dates.meter_id
        and sums.local_date = meter_dates.local_date
    left join inner_gaps
        on inner_gaps.site_id = meter_dates.site_id
        and inner_gaps.meter_id = meter_dates.meter_id
        and inner_gaps.local_date = meter_dates.local_date
    left join repeats
        on repeats.site_id = meter_dates.site_id
        and repeats.meter_id = meter_dates.meter_id
        and repeats.local_date = meter_dates.local_date
    left join revisions
        on revisions.site_id = meter_dates.site_id
        and revisions.meter_id = meter_dates.meter_id
        and revisions.local_date = meter_dates.local_date
),

-- A daily value counts once on a change day too, although 23 hours hold no whole 24. Coverage expects less on the day
-- on which a site was created.
expected as (
    select
        *,
        least(
            greatest(1, round((epoch_us(day_end_utc) - epoch_us(day_start_utc)) / 60000000.0 / interval_minutes)),
            coverage_expected
        )::integer as intervals_expected
    from described
),

final as (
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
        intervals_without_split,
        intervals_off_grid,
        intervals_sentinel,
        coverage_state,
        first_fetched_at_utc,
        last_fetched_at_utc,
        last_changed_at_utc,
        equal_after_month,
        peak,
        peak_at_utc,
        first_nonzero_utc,
        last_nonzero_utc,
        greatest(gap_at_start_minutes, inner_gap_minutes, gap_at_end_minutes)::integer as longest_gap_minutes,
        gap_at_start_minutes::integer as gap_at_start_minutes,
        gap_at_end_minutes::integer as gap_at_end_minutes,
        minutes_before_first_row::integer as minutes_before_first_row,
        minutes_after_last_row::integer as minutes_after_last_row,
        split_error,
        lowest,
        longest_repeat,
        repeated_total,
        decimals,
        content_hash
    from expected
    order by billing_month, site_id, meter_id, local_date
)

select * from final
