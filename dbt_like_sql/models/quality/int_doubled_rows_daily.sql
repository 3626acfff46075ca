{{ config(
    materialized='table',
    order_by='billing_month, site_id, meter_id, local_date',
    watch='billing_month, site_id, meter_id, local_date, check_name, first_at_utc'
) }}

with

-- An interval by its start; a reading belongs to the day that it closes.
stated as (
    select
        code,
        dataset,
        site_id,
        subject_id,
        found_at_utc,
        case dataset
            when 'meter_intervals' then 'meter_data'
            when 'site_intervals' then 'site_data'
            when 'meter_indices' then 'meter_data_raw'
        end as endpoint,
        unnest(samples)::timestamptz as at_utc,
        case when dataset = 'meter_indices' then 1 else 0 end as microseconds_before
    from {{ ref('findings') }}
    where
        (code in ('duplicate_rows', 'conflicting_rows') and dataset in ('meter_intervals', 'site_intervals'))
        or (code = 'conflicting_rows' and dataset = 'meter_indices')
),

-- What a later answer said of the same instant counts instead; one about other hours of the day says nothing.
standing as (
    select stated.*
    from stated
    where not exists (
        select 1
        from {{ ref('api_calls') }} as calls
        where
            calls.outcome = 'ok'
            and calls.endpoint = stated.endpoint
            and calls.site_id = stated.site_id
            and calls.subject_id = stated.subject_id
            and calls.started_at_utc > stated.found_at_utc
            and calls.window_start_utc <= stated.at_utc
            and calls.window_end_utc >= stated.at_utc
    )
),

-- The series of a site states the flows of its connections to the grid, and of its batteries.
doubled_rows as (
    select
        case when dataset = 'meter_indices' then 'conflicting_readings' else code end as check_name,
        dataset,
        site_id,
        subject_id as meter_id,
        found_at_utc,
        at_utc,
        microseconds_before
    from standing
    where dataset in ('meter_intervals', 'meter_indices')
    union all
    select
        case standing.code when 'conflicting_rows' then 'conflicting_site_rows' else standing.code end,
        standing.dataset,
        site_id,
        meters.meter_id,
        standing.found_at_utc,
        standing.at_utc,
        standing.microseconds_before
    from standing
    inner join {{ ref('meters') }} as meters using (site_id)
    where
        standing.dataset = 'site_intervals'
        and standing.subject_id = 'electricity'
        and meters.meter_type = 'electricity'
        and meters.meter_mode in ('introduction', 'battery')
)

select
    doubled_rows.check_name,
    doubled_rows.site_id,
    doubled_rows.meter_id,
    calendar.local_date,
    calendar.billing_month,
    min(doubled_rows.at_utc) as first_at_utc
from doubled_rows
inner join {{ ref('int_site_calendar') }} as calendar
    on calendar.site_id = doubled_rows.site_id
    and epoch_us(calendar.day_start_utc) <= epoch_us(doubled_rows.at_utc) - doubled_rows.microseconds_before
    and epoch_us(calendar.day_end_utc) > epoch_us(doubled_rows.at_utc) - doubled_rows.microseconds_before
-- So does one about the whole site, from which the meter's day was filled since.
left join {{ ref('coverage_days') }} as days
    on days.dataset = doubled_rows.dataset
    and days.dataset = 'meter_intervals'
    and days.site_id = doubled_rows.site_id
    and days.subject_id = doubled_rows.meter_id
    and days.local_date = calendar.local_date
    and days.detail = 'from the site''s answer'
    and days.last_asked_at_utc > doubled_rows.found_at_utc
where days.local_date is null
group by all
