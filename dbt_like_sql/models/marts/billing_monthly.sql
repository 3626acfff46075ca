{{ config(materialized='view') }}

with

settings as (
    select * from {{ ref('billing_settings') }}
),

meter_months as (
    select * from {{ ref('meter_months') }}
),

meter_days as (
    select * from {{ ref('meter_days') }}
),

meters as (
    select * from {{ ref('meters') }}
),

sites as (
    select * from {{ ref('sites') }}
),

closing_indices as (
    select * from {{ ref('meter_indices_daily') }}
),

-- Of a day that had not ended at the last call, only the part before that call counts. Minutes since 1970, because
-- differences of TIMESTAMPTZ need an extension that not every tool has.
elapsed_days as (
    select
        meter_days.*,
        meter_days.day_end_utc <= settings.as_of_utc as is_over,
        -- Of this meter itself: that others were asked later says nothing about its late data.
        epoch_us(meter_days.last_fetched_at_utc) - epoch_us(meter_days.day_end_utc)
            < settings.close_after_days::bigint * 86400000000 as is_young,
        greatest(
            0, (epoch_us(least(meter_days.day_end_utc, settings.as_of_utc)) - epoch_us(meter_days.day_start_utc))
        ) // 60000000 as elapsed_minutes
    from meter_days
    cross join settings
),

expected_days as (
    select
        *,
        case when is_over then intervals_expected else elapsed_minutes // interval_minutes end as intervals_elapsed
    from elapsed_days
),

asked as (
    select
        site_id,
        meter_id,
        billing_month,
        sum(total)::decimal(18, 6) as total,
        sum(solar)::decimal(18, 6) as solar,
        sum(grid)::decimal(18, 6) as grid,
        max_by(interval_minutes, local_date) as interval_minutes,
        sum(elapsed_minutes) filter (where coverage_state is not null) as elapsed_minutes,
        sum(intervals_elapsed) filter (where coverage_state is not null) as intervals_expected,
        sum(intervals_present) as intervals_present,
        sum(greatest(0, intervals_elapsed - intervals_present - intervals_null))
            filter (where coverage_state is not null) as intervals_missing,
        sum(greatest(0, intervals_elapsed - intervals_present - intervals_null))
            filter (where coverage_state not in ('pending', 'failed')) as intervals_missing_for_good,
        sum(intervals_null) as intervals_null,
        sum(intervals_negative) as intervals_negative,
        sum(intervals_revised) as intervals_revised,
        sum(intervals_without_split) as intervals_without_split,
        count(*) filter (where coverage_state is not null and is_over) as days_asked,
        count(*) filter (where is_over and is_young and coverage_state in ('complete', 'gap')) as days_young,
        count(*) filter (where coverage_state = 'pending') as days_pending,
        count(*) filter (where coverage_state = 'failed') as days_failed,
        min(first_fetched_at_utc) as first_fetched_at_utc,
        max(last_fetched_at_utc) as last_fetched_at_utc
    from expected_days
    group by site_id, meter_id, billing_month
),

identified as (
    select
        meter_months.*,
        sites.site_name,
        meters.meter_name,
        meters.meter_type,
        meters.meter_mode,
        meters.is_rule_meter,
        {{ unit_of('meters.meter_type') }} as unit,
        {{ has_split('meters.meter_type', 'meters.meter_mode') }} as has_split,
        {{ index_register('meters.meter_type', 'meters.meter_mode', 'meters.is_rule_meter') }} as index_register,
        settings.as_of_utc >= meter_months.period_end_utc as is_over,
        epoch_us(settings.as_of_utc) - epoch_us(meter_months.period_end_utc)
            < settings.close_after_days::bigint * 86400000000 as is_young,
        settings.close_after_days,
        greatest(
            0,
            epoch_us(least(meter_months.period_end_utc, settings.as_of_utc)) - epoch_us(meter_months.due_from_utc)
        ) // 60000000 as elapsed_minutes
    from meter_months
    cross join settings
    left join meters
        on meters.site_id = meter_months.site_id
        and meters.meter_id = meter_months.meter_id
    left join sites on sites.site_id = meter_months.site_id
),

measured as (
    select
        identified.* exclude (elapsed_minutes),
        asked.total,
        case when identified.has_split then asked.solar end as solar,
        case when identified.has_split then asked.grid end as grid,
        coalesce(asked.interval_minutes, identified.usual_interval_minutes) as interval_minutes,
        greatest(0, identified.elapsed_minutes - coalesce(asked.elapsed_minutes, 0)) as minutes_not_asked,
        coalesce(asked.intervals_expected, 0) as intervals_expected_asked,
        coalesce(asked.intervals_present, 0)::integer as intervals_present,
        coalesce(asked.intervals_missing, 0) as intervals_missing_asked,
        coalesce(asked.intervals_missing_for_good, 0)::integer as intervals_missing_for_good,
        coalesce(asked.intervals_null, 0)::integer as intervals_null,
        coalesce(asked.intervals_negative, 0)::integer as intervals_negative,
        coalesce(asked.intervals_revised, 0)::integer as intervals_revised,
        coalesce(asked.intervals_without_split, 0)::integer as intervals_without_split,
        coalesce(asked.days_asked, 0)::integer as days_asked,
        greatest(0, identified.days_over - coalesce(asked.days_asked, 0))::integer as days_not_asked,
        coalesce(asked.days_young, 0)::integer as days_young,
        coalesce(asked.days_pending, 0)::integer as days_pending,
        coalesce(asked.days_failed, 0)::integer as days_failed,
        asked.first_fetched_at_utc,
        asked.last_fetched_at_utc
    from identified
    left join asked
        on asked.site_id = identified.site_id
        and asked.meter_id = identified.meter_id
        and asked.billing_month = identified.billing_month
),

counted as (
    select
        *,
        (intervals_expected_asked + minutes_not_asked // interval_minutes)::integer as intervals_expected,
        (intervals_missing_asked + minutes_not_asked // interval_minutes)::integer as intervals_missing
    from measured
),

indexed as (
    select
        counted.*,
        {% for bound in ['opening', 'closing'] %}
        case counted.index_register
            when 'import' then {{ bound }}.index_import_kwh
            when 'export' then {{ bound }}.index_export_kwh
            when 'heat' then {{ bound }}.heat_kwh
            when 'volume' then {{ bound }}.volume_m3
        end as index_{{ 'start' if bound == 'opening' else 'end' }}
        {{- ',' if not loop.last }}
        {% endfor %}
    from counted
    left join closing_indices as opening
        on opening.site_id = counted.site_id
        and opening.meter_id = counted.meter_id
        and opening.local_date = counted.billing_month - 1
    left join closing_indices as closing
        on closing.site_id = counted.site_id
        and closing.meter_id = counted.meter_id
        and closing.local_date = last_day(counted.billing_month)
),

reasoned as (
    select
        *,
        -- What time or another call can mend.
        case when days_not_asked > 0
            then ['not_fetched: ' || days_not_asked || ' of ' || days_over || ' days were never asked for']
            else [] end
        || case when not is_over
            then ['running: the month had not ended at the last call'] else [] end
        || case when is_over and is_young
            then ['too_young: the last call was less than ' || close_after_days || ' days after the end of the month']
            when is_over and days_young > 0
            then [
                'too_young: ' || {{ number_of('days_young', 'day was', 'days were') }} || ' last asked for within '
                || close_after_days || ' days of ending'
            ]
            else [] end
        || case when days_pending > 0
            then ['pending: ' || {{ number_of('days_pending', 'day was', 'days were') }} || ' asked for too early']
            else [] end
        || case when days_failed > 0
            then ['failed: ' || {{ number_of('days_failed', 'day', 'days') }} || ' could not be fetched']
            else [] end
            as provisional_reasons,
        -- What a person has to look at.
        case when intervals_present = 0 and days_asked > 0
            then ['no_data: no interval of the month has a value'] else [] end
        || case when intervals_present > 0 and intervals_missing_for_good > 0
            then [
                'missing_intervals: '
                || {{ number_of('intervals_missing_for_good', 'interval that was', 'intervals that were') }}
                || ' asked for did not come'
            ]
            else [] end
        || case when is_over and intervals_present + intervals_null > intervals_expected
            then [
                'too_many_intervals: ' || (intervals_present + intervals_null) || ' intervals in a month of '
                || intervals_expected || '; some overlap'
            ]
            else [] end
        || case when intervals_null > 0
            then [
                'null_intervals: ' || {{ number_of('intervals_null', 'interval has', 'intervals have') }} || ' no value'
            ]
            else [] end
        || case when intervals_without_split > 0
            then [
                'without_split: '
                || {{ number_of('intervals_without_split', 'interval is', 'intervals are') }}
                || ' not split into solar and grid'
            ]
            else [] end
            as blocking_reasons
    from indexed
),

graded as (
    select
        *,
        case
            when len(provisional_reasons) > 0 then 'provisional'
            when len(blocking_reasons) > 0 then 'blocked'
            else 'ready'
        end as grade,
        provisional_reasons || blocking_reasons as reasons
    from reasoned
),

final as (
    select
        site_id,
        site_name,
        meter_id,
        meter_name,
        meter_type,
        meter_mode,
        is_rule_meter,
        unit,
        billing_month,
        period_start_utc,
        period_end_utc,
        total,
        solar,
        grid,
        case when grade in ('ready', 'ready_with_estimates') then total end as billable_total,
        case when grade in ('ready', 'ready_with_estimates') then solar end as billable_solar,
        case when grade in ('ready', 'ready_with_estimates') then grid end as billable_grid,
        index_register,
        index_start,
        index_end,
        (index_end - index_start)::decimal(18, 6) as index_advance,
        (total - (index_end - index_start))::decimal(18, 6) as index_difference,
        interval_minutes,
        intervals_expected,
        intervals_present,
        intervals_missing,
        intervals_null,
        intervals_negative,
        intervals_revised,
        intervals_without_split,
        case when intervals_expected > 0 then least(1.0, intervals_present / intervals_expected)::double end
            as completeness,
        grade,
        reasons,
        first_fetched_at_utc,
        last_fetched_at_utc,
        days_over,
        days_asked,
        is_listed,
        {{ meter_role('meter_mode', 'is_rule_meter') }} as meter_role
    from graded
)

select * from final
