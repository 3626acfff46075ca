-- What was known at an instant: for closed months the rows frozen then, for others what the versions of the intervals
-- tell.
create or replace macro main.billing_as_of(instant) as table (
    with

    frozen as (
        select * exclude (
            version, closed_kind, closed_at_utc, closed_by, valid_from_utc, valid_until_utc, is_closed,
            was_excluded, inputs_hash
        )
        from {{ ref('billing_closed_versions') }}
        where
            valid_from_utc <= instant::timestamptz
            and (valid_until_utc is null or valid_until_utc > instant::timestamptz)
    ),

    -- The days that billing_monthly adds up: in service, and not excluded.
    counted_days as (
        select site_id, meter_id, local_date, billing_month
        from {{ ref('billing_days') }}
        qualify not is_excluded or bool_and(is_excluded) over (partition by site_id, meter_id, billing_month)
    ),

    -- Publishing may leave out the intervals of older months.
    published_detail as (
        select max(value)::date as detail_first_day
        from {{ ref('about') }}
        where key = 'detail_first_day'
    ),

    known_months as (
        select
            site_id,
            meter_id,
            days.billing_month,
            sum({{ quantity('intervals.total') }}) as total,
            sum({{ quantity('intervals.solar') }}) as solar,
            sum({{ quantity('intervals.grid') }}) as grid,
            count({{ quantity('intervals.total') }}) as intervals_present,
            count(*) - count({{ quantity('intervals.total') }}) as intervals_null,
            count(*) filter (
                where {{ quantity('intervals.total') }} < 0 or {{ quantity('intervals.solar') }} < 0
                or {{ quantity('intervals.grid') }} < 0
            ) as intervals_negative
        from main.meter_intervals_as_of(instant) as intervals
        inner join counted_days as days using (site_id, meter_id, local_date)
        group by site_id, meter_id, days.billing_month
    ),

    open_months as (
        select
            billing.*,
            published_detail.detail_first_day,
            coalesce(billing.billing_month < published_detail.detail_first_day, false) as is_without_detail,
            measures.has_split
        from {{ ref('billing_monthly') }} as billing
        inner join {{ ref('meter_month_measures') }} as measures
            on measures.site_id = billing.site_id
            and measures.meter_id = billing.meter_id
            and measures.period_from = billing.billing_month
        cross join published_detail
        anti join frozen
            on frozen.site_id = billing.site_id
            and frozen.billing_month = billing.billing_month
        where billing.period_start_utc < instant::timestamptz
    )

    select * from frozen
    union all by name
    select
        site_id,
        months.site_name,
        meter_id,
        months.meter_name,
        months.meter_type,
        months.meter_mode,
        months.is_rule_meter,
        months.unit,
        billing_month,
        months.period_start_utc,
        months.period_end_utc,
        months.period_first_day,
        months.period_last_day,
        months.index_register,
        months.interval_minutes,
        months.meter_role,
        months.billing_point,
        months.is_billed,
        known.total::decimal(18, 6) as total,
        case when months.has_split then known.solar end::decimal(18, 6) as solar,
        case when months.has_split then known.grid end::decimal(18, 6) as grid,
        case when not months.is_without_detail then coalesce(known.intervals_present, 0) end::integer
            as intervals_present,
        case when not months.is_without_detail then coalesce(known.intervals_null, 0) end::integer as intervals_null,
        case when not months.is_without_detail then coalesce(known.intervals_negative, 0) end::integer
            as intervals_negative,
        [case
            when months.is_without_detail
                then 'not_published: not closed at that instant, and this file holds no intervals of the month '
                || '(CLIMKIT_PUBLISH_MONTHS), so what was known then is not told'
            else 'as_known_then: not closed at that instant; sums and counts are of the intervals known then, '
                || 'all else is not'
        end] as reasons
    from open_months as months
    left join known_months as known using (site_id, meter_id, billing_month)
);
comment on macro table main.billing_as_of is
    'billing_monthly as known at an instant: months that were closed then exactly as frozen, the version in force then (the first one from the instant on up to which its data reach, see billing_closings); of months open then the sums and counts of the interval values known then, grade null, all else null (all of it where CLIMKIT_PUBLISH_MONTHS left their intervals out: the reason says so). In a file that is attached: set search_path = ''<its name>,memory'' first.';
