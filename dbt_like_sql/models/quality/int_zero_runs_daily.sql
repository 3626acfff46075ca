{{ config(
    materialized='table',
    order_by='billing_month, site_id, meter_id, local_date',
    watch='billing_month, site_id, meter_id, local_date, zero_hours, is_unconfirmed, is_disputed'
) }}
{# Days after which a run is long, whatever it goes on for: those of a season. #}
{% set long_days = 45 %}

-- How long electricity was zero, over midnights: a run goes through whole days, from the last value before them to the
-- first one after, where these days are known. It may go on for years, so all days of a meter's life are looked at.
with

zero_days as (
    select
        site_id,
        meter_id,
        local_date,
        billing_month,
        is_rule_meter,
        {{ minutes_between('day_start_utc', 'day_end_utc') }} as minutes,
        -- Equal for days that follow each other.
        local_date - row_number() over (partition by site_id, meter_id order by local_date)::integer as run
    from {{ ref('int_asked_days') }}
    where
        meter_type = 'electricity'
        and meter_mode = 'consumption'
        and intervals_present > 0
        and first_nonzero_utc is null
),

runs as (
    select
        site_id,
        meter_id,
        run,
        sum(minutes) as minutes,
        min(local_date) as first_zero_on,
        unnest([min(local_date) - 1, max(local_date) + 1]) as local_date
    from zero_days
    group by site_id, meter_id, run
),

-- The zeros at the end of the day before, and at the beginning of the day after.
edges as (
    select
        site_id,
        meter_id,
        runs.run,
        sum(case
            when local_date < runs.first_zero_on
                then {{ minutes_between('days.last_nonzero_utc', 'days.day_end_utc') }}
            else {{ minutes_between('days.day_start_utc', 'days.first_nonzero_utc') }}
        end) as minutes
    from runs
    inner join {{ ref('int_asked_days') }} as days using (site_id, meter_id, local_date)
    where days.meter_type = 'electricity' and days.meter_mode = 'consumption' and days.intervals_present > 0
    group by site_id, meter_id, runs.run
),

-- A run that goes on for years would be another on each of its days every morning, and all of its months stale. What is
-- told of it ends where its grade cannot change any more.
limits as (
    select
        greatest(
            24.0 * {{ long_days }},
            2 * max(tolerance) filter (where check_name = 'zero_run'),
            2 * 24 * max(tolerance) filter (where check_name = 'zero_run_unread')
        ) as most_hours
    from {{ ref('data_quality_checks') }}
),

lengths as (
    select distinct
        site_id,
        meter_id,
        run,
        (runs.minutes + coalesce(edges.minutes, 0)) / 60.0 as all_hours,
        least(all_hours, limits.most_hours)::double as zero_hours,
        all_hours > limits.most_hours as is_longer
    from runs
    cross join limits
    left join edges using (site_id, meter_id, run)
)

select
    site_id,
    meter_id,
    local_date,
    billing_month,
    lengths.zero_hours,
    lengths.is_longer,
    not evidence.is_confirmed and (evidence.advance is not null or evidence.is_unread) as is_unconfirmed,
    not zero_days.is_rule_meter
    and coalesce(evidence.advance > 2 * evidence.meter_step or evidence.is_unread, false) as is_disputed
from zero_days
inner join lengths using (site_id, meter_id, run)
inner join {{ ref('int_register_evidence_daily') }} as evidence using (site_id, meter_id, local_date, billing_month)
where is_unconfirmed or is_disputed
