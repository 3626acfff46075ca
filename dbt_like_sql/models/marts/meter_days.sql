{{ config(
    materialized='incremental',
    incremental_strategy='append',
    pre_hook="{{ delete_days_to_build(['meter_intervals'], 'any', ['zone', 'has_split']) }}"
) }}
{% set days_to_build_now = days_to_build(['meter_intervals'], 'any', ['zone', 'has_split']) %}

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
        (epoch_us(versions.interval_end_utc) - epoch_us(versions.interval_start_utc)) // 60000000 as minutes,
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
        count(*) filter (where total > 0 and (solar is null or grid is null)) as intervals_without_split
    from current_rows
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
        coverage.last_changed_at_utc
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
        coverage_state,
        first_fetched_at_utc,
        last_fetched_at_utc,
        last_changed_at_utc
    from expected
    order by billing_month, site_id, meter_id, local_date
)

select * from final
