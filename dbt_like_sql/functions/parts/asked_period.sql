-- Expressions for the local days from first_day to last_day, both included, in the place of the views that state
-- months. The parameters replace every bare name that is like theirs, so columns of these names are qualified.
{{ stated('asked_period') }} as (
    select
        first_day::date as period_from,
        last_day::date as period_until
    where first_day::date <= last_day::date
),

{{ stated('int_periods') }} as (
    select
        months.site_id,
        months.meter_id,
        asked_period.period_from,
        asked_period.period_until,
        any_value({{ day_start_utc('asked_period.period_from', 'months.zone') }}) as period_start_utc,
        any_value({{ day_start_utc('asked_period.period_until + 1', 'months.zone') }}) as period_end_utc,
        bool_or(months.is_listed) as is_listed,
        bool_or(months.is_there) as is_there,
        bool_or(months.is_listed_now) as is_listed_now,
        any_value(months.first_value_on) as first_value_on,
        any_value(months.last_value_on) as last_value_on
    from {{ ref('meter_months') }} as months
    inner join asked_period
        on months.billing_month <= asked_period.period_until
        and last_day(months.billing_month) >= asked_period.period_from
    left join {{ ref('sites') }} as sites on sites.site_id = months.site_id
    where asked_period.period_until >= coalesce(sites.created_on, asked_period.period_until)
    group by months.site_id, months.meter_id, asked_period.period_from, asked_period.period_until
),

dates as (
    select
        asked_period.period_from,
        unnest(generate_series(
            asked_period.period_from::timestamp,
            least(asked_period.period_until::timestamp, epoch_ms(epoch_ms(settings.as_of_utc))),
            interval 1 day
        ))::date as local_date
    from asked_period
    cross join {{ ref('billing_settings') }} as settings
),

known_meters as (
    select
        months.site_id, months.meter_id, months.zone, months.usual_interval_minutes, months.last_value_on,
        months.is_listed_now
    from {{ ref('meter_months') }} as months
    semi join int_periods using (site_id, meter_id)
    group by all
),

-- Days that were over and are in no month of the meter: nobody ever asked for them, so nobody knows what they hold. The
-- meter was in service on them unless meters.csv says otherwise.
unknown_days as (
    select
        meters.site_id,
        meters.meter_id,
        dates.period_from,
        dates.local_date,
        meters.usual_interval_minutes as interval_minutes,
        greatest(1, round((epoch_us({{ day_start_utc('dates.local_date + 1', 'meters.zone') }})
            - epoch_us({{ day_start_utc('dates.local_date', 'meters.zone') }}))
            / 60000000.0 / meters.usual_interval_minutes))::integer as intervals_due,
        coalesce(
            dates.local_date > meters.last_value_on and services.in_service_until is null, false
        ) as is_after_last_value,
        meters.is_listed_now,
        exists (
            select 1
            from {{ ref('exclusions') }} as exclusions
            where
                exclusions.site_id = meters.site_id
                and exclusions.meter_id = meters.meter_id
                and dates.local_date between exclusions.first_day and exclusions.last_day
        ) as is_excluded
    from dates
    cross join known_meters as meters
    left join {{ ref('sites') }} as sites on sites.site_id = meters.site_id
    inner join {{ ref('meter_services') }} as services
        on services.site_id = meters.site_id
        and services.meter_id = meters.meter_id
        and dates.local_date between services.first_day and services.last_day
    cross join {{ ref('billing_settings') }} as settings
    left join {{ ref('meter_months') }} as known_months
        on known_months.site_id = meters.site_id
        and known_months.meter_id = meters.meter_id
        and known_months.billing_month = date_trunc('month', dates.local_date)
    where
        known_months.meter_id is null
        and dates.local_date >= coalesce(sites.created_on, dates.local_date)
        and {{ day_start_utc('dates.local_date + 1', 'meters.zone') }} <= settings.as_of_utc
),

{{ stated('int_period_days') }} as (
    select
        days.*,
        asked_period.period_from
    from {{ ref('billing_days') }} as days
    inner join asked_period on days.local_date between asked_period.period_from and asked_period.period_until
    union all by name
    select
        unknown_days.*,
        unknown_days.intervals_due as intervals_missing,
        0 as intervals_present,
        0 as intervals_null,
        0 as intervals_negative,
        0 as intervals_revised,
        0 as intervals_without_split,
        true as is_over,
        false as is_asked,
        false as is_confirmed,
        false as is_before_first_value,
        false as is_billed,
        false as is_gone,
        0 as longest_gap_minutes
    from unknown_days
),

{{ stated('int_site_period_days') }} as (
    select
        days.*,
        asked_period.period_from
    from {{ ref('site_days') }} as days
    inner join asked_period on days.local_date between asked_period.period_from and asked_period.period_until
),

{{ stated('int_period_failures') }} as (
    select
        failures.*,
        asked_period.period_from
    from {{ ref('data_quality_daily') }} as failures
    inner join asked_period on failures.local_date between asked_period.period_from and asked_period.period_until
),

{{ models_up_to('int_period_checks') }},

-- What blocks a month that lies wholly inside the period blocks the period, too: closed months are compared month by
-- month, and a longer period thins out what is wrong with one month. Days that are excluded are on no bill.
month_failures as (
    select
        months.* exclude (billing_month, reason),
        case
            when months.billing_month = asked_period.period_from
                and last_day(months.billing_month) = asked_period.period_until
                then ''
            else 'in ' || strftime(months.billing_month, '%Y-%m') || ', '
        end || months.reason as reason,
        asked_period.period_from
    from {{ ref('data_quality_monthly') }} as months
    inner join asked_period
        on months.billing_month >= asked_period.period_from
        and last_day(months.billing_month) <= asked_period.period_until
    inner join {{ ref('data_quality_checks') }} as known on known.check_name = months.check_name
    left join {{ ref('meter_month_measures') }} as month_measures
        on month_measures.site_id = months.site_id
        and month_measures.meter_id = months.meter_id
        and month_measures.period_from = months.billing_month
    where
        not months.passed
        and months.severity = 'blocks'
        and not months.is_accepted
        and (known.counts_when_excluded or not coalesce(month_measures.is_excluded, false))
),

-- Only what the period does not show by itself.
hidden_failures as (
    select month_failures.*
    from month_failures
    left join int_period_checks as checked
        on checked.check_name = month_failures.check_name
        and checked.site_id = month_failures.site_id
        and checked.meter_id is not distinct from month_failures.meter_id
        and checked.severity = 'blocks'
        and not checked.passed
        and not checked.is_accepted
    where checked.check_name is null
),

{{ stated('int_graded_checks') }} as (
    select checked.*
    from int_period_checks as checked
    left join (select distinct check_name, site_id, meter_id from hidden_failures) as hidden
        on hidden.check_name = checked.check_name
        and hidden.site_id = checked.site_id
        and hidden.meter_id is not distinct from checked.meter_id
    where hidden.check_name is null
    union all by name
    select * from hidden_failures
)
