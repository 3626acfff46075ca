{{ config(materialized='view') }}

with

settings as (
    select * from {{ ref('billing_settings') }}
),

meter_months as (
    select * from {{ ref('meter_months') }}
),

calendar as (
    select * from {{ ref('calendar_days') }}
),

meter_days as (
    select * from {{ ref('meter_days') }}
),

index_days as (
    select * from {{ ref('meter_index_days') }}
),

facts as (
    select * from {{ ref('meter_facts') }}
),

services as (
    select * from {{ ref('meter_services') }}
),

kinds as (
    select * from {{ ref('meter_kinds') }}
),

-- Every local day of the month, asked for or not, from the site's creation on. Minutes since 1970, because differences
-- of TIMESTAMPTZ need an extension that not every tool has.
due as (
    select
        meter_months.*,
        calendar.local_date,
        calendar.day_start_utc,
        calendar.day_end_utc,
        calendar.day_end_utc <= settings.as_of_utc as is_over,
        settings.close_after_days::bigint * 86400000000 as closing_delay_us,
        (epoch_us(calendar.day_end_utc) - epoch_us(calendar.day_start_utc)) // 60000000 as minutes_of_day,
        greatest(
            0, epoch_us(least(calendar.day_end_utc, settings.as_of_utc)) - epoch_us(calendar.day_start_utc)
        ) // 60000000 as elapsed_minutes
    from meter_months
    inner join calendar
        on calendar.zone = meter_months.zone
        and calendar.billing_month = meter_months.billing_month
        and calendar.day_start_utc >= meter_months.due_from_utc
    cross join settings
),

known as (
    select
        due.site_id,
        due.meter_id,
        due.zone,
        due.billing_month,
        due.local_date,
        due.day_start_utc,
        due.day_end_utc,
        due.is_over,
        due.elapsed_minutes,
        due.minutes_of_day,
        due.first_value_on,
        due.last_value_on,
        due.is_listed_now,
        services.in_service_from,
        services.in_service_until,
        kinds.meter_type,
        kinds.meter_mode,
        coalesce(kinds.is_rule_meter, false) as is_rule_meter,
        facts.resolution,
        facts.billing_point,
        coalesce(
            facts.is_billed,
            due.is_there and coalesce(kinds.meter_mode = 'consumption' and not kinds.is_rule_meter, false)
        ) as is_billed,
        not due.is_listed_now and services.in_service_until is not null as is_gone,
        coalesce(
            case when meter_days.intervals_present + meter_days.intervals_null > 0 then meter_days.interval_minutes end,
            facts.interval_minutes,
            due.usual_interval_minutes
        ) as interval_minutes,
        meter_days.interval_minutes as asked_interval_minutes,
        meter_days.* exclude (
            site_id, meter_id, zone, billing_month, local_date, day_start_utc, day_end_utc, interval_minutes,
            coverage_state, has_split
        ),
        {{ has_split('kinds.meter_type', 'kinds.meter_mode') }} as has_split,
        -- The last day of a meter that is gone cannot be asked for again: what had come by then is all there is.
        case
            when
                meter_days.coverage_state = 'pending'
                and not due.is_listed_now
                and due.local_date = services.in_service_until
                then 'complete'
            else meter_days.coverage_state
        end as coverage_state,
        meter_days.coverage_state is not null as is_asked,
        {{ is_confirmed('meter_days', 'due.period_end_utc', 'due.closing_delay_us') }} as is_confirmed,
        index_days.unmeasured,
        index_days.load_curve_total,
        index_days.step as index_step,
        index_days.steps,
        index_days.index_register
    from due
    inner join services
        on services.site_id = due.site_id
        and services.meter_id = due.meter_id
        and due.local_date between services.first_day and services.last_day
    left join kinds
        on kinds.site_id = due.site_id
        and kinds.meter_id = due.meter_id
        and due.local_date between kinds.first_day and kinds.last_day
    left join meter_days
        on meter_days.site_id = due.site_id
        and meter_days.meter_id = due.meter_id
        and meter_days.local_date = due.local_date
    left join index_days
        on index_days.site_id = due.site_id
        and index_days.meter_id = due.meter_id
        and index_days.local_date = due.local_date
    left join facts
        on facts.site_id = due.site_id
        and facts.meter_id = due.meter_id
        and due.local_date between facts.valid_from and facts.valid_until
),

-- A meter comes and goes in the middle of a day, and what it delivers tells when. A first or last day of service that
-- has no value tells nothing: all of it is due.
bounded as (
    select
        *,
        coalesce(local_date = in_service_from and intervals_present > 0, false) as begins_inside,
        coalesce(local_date = in_service_until and intervals_present > 0, false) as ends_inside
    from known
),

-- Of a day that had not ended at the last call, only the part before that call counts. On the first and the last day of
-- service, only what lies between the first and the last interval; a null is one, and is due.
expected as (
    select
        *,
        greatest(0, case
            when not is_over then elapsed_minutes // interval_minutes
            when intervals_expected is not null and interval_minutes = asked_interval_minutes then intervals_expected
            else greatest(1, round(minutes_of_day / interval_minutes))
        end
        - case when begins_inside then minutes_before_first_row // interval_minutes else 0 end
        - case when ends_inside then minutes_after_last_row // interval_minutes else 0 end
        )::integer as intervals_due
    from bounded
),

final as (
    select
        expected.site_id,
        expected.meter_id,
        expected.local_date,
        expected.billing_month,
        expected.zone,
        expected.day_start_utc,
        expected.day_end_utc,
        expected.is_over,
        expected.is_asked,
        expected.coverage_state,
        expected.total,
        expected.solar,
        expected.grid,
        expected.meter_type,
        expected.meter_mode,
        expected.is_rule_meter,
        expected.has_split,
        expected.interval_minutes,
        expected.intervals_due,
        coalesce(expected.intervals_present, 0) as intervals_present,
        coalesce(expected.intervals_null, 0) as intervals_null,
        greatest(
            0, expected.intervals_due - coalesce(expected.intervals_present, 0) - coalesce(expected.intervals_null, 0)
        ) as intervals_missing,
        coalesce(expected.intervals_negative, 0) as intervals_negative,
        coalesce(expected.intervals_revised, 0) as intervals_revised,
        case when expected.has_split then coalesce(expected.intervals_without_split, 0) else 0 end
            as intervals_without_split,
        coalesce(expected.is_confirmed, false) as is_confirmed,
        expected.first_fetched_at_utc,
        expected.last_fetched_at_utc,
        expected.peak,
        expected.peak_at_utc,
        case when expected.is_over and expected.is_asked then expected.longest_gap_minutes else 0 end
            as longest_gap_minutes,
        case when not expected.begins_inside then expected.gap_at_start_minutes end as gap_at_start_minutes,
        case when not expected.ends_inside then expected.gap_at_end_minutes end as gap_at_end_minutes,
        expected.content_hash,
        expected.unmeasured,
        expected.load_curve_total,
        coalesce(expected.resolution, expected.index_step) as step,
        expected.steps,
        expected.local_date < expected.first_value_on and expected.in_service_from is null as is_before_first_value,
        expected.local_date > expected.last_value_on and expected.in_service_until is null as is_after_last_value,
        expected.is_listed_now,
        expected.is_gone,
        expected.billing_point,
        expected.is_billed,
        {{ is_excluded('expected') }} as is_excluded
    from expected
)

select * from final
