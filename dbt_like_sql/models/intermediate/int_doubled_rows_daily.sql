{% set endpoints = {
    'meter_intervals': 'meter_data', 'meter_indices': 'meter_data_raw', 'site_intervals': 'site_data'
} %}

with

findings as (
    select * from {{ ref('findings') }}
    where code in ('duplicate_rows', 'conflicting_rows')
),

calls as (
    select * from {{ ref('api_calls') }}
    where outcome = 'ok'
),

meters as (
    select * from {{ ref('meters') }}
),

zones as (
    select * from {{ ref('int_site_zones') }}
),

calendar as (
    select * from {{ ref('calendar_days') }}
),

-- An interval by its start; a reading belongs to the day that it closes.
stated as (
    select
        code,
        dataset,
        site_id,
        subject_id,
        found_at_utc,
        case dataset
            {%- for dataset, endpoint in endpoints.items() %}
            when '{{ dataset }}' then '{{ endpoint }}'
            {%- endfor %}
        end as endpoint,
        unnest(samples)::timestamptz as at_utc,
        case when dataset = 'meter_indices' then 1 else 0 end as microseconds_before
    from findings
    where
        dataset in ('meter_intervals', 'site_intervals')
        or (dataset = 'meter_indices' and code = 'conflicting_rows')
),

-- What a later answer said of the same instant counts instead; one about other hours of the day says nothing.
standing as (
    select * from stated
    where not exists (
        select 1 from calls
        where
            calls.endpoint = stated.endpoint
            and calls.site_id = stated.site_id
            and calls.subject_id = stated.subject_id
            and calls.started_at_utc > stated.found_at_utc
            and calls.window_start_utc <= stated.at_utc
            and calls.window_end_utc >= stated.at_utc
    )
),

-- The series of a site states the flows of its connections to the grid, and of its batteries.
of_meters as (
    select
        case when dataset = 'meter_indices' then 'conflicting_readings' else code end as check_name,
        site_id,
        subject_id as meter_id,
        at_utc,
        microseconds_before
    from standing
    where dataset in ('meter_intervals', 'meter_indices')
    union all
    select
        case standing.code when 'conflicting_rows' then 'conflicting_site_rows' else standing.code end,
        standing.site_id,
        meters.meter_id,
        standing.at_utc,
        standing.microseconds_before
    from standing
    inner join meters
        on meters.site_id = standing.site_id
        and meters.meter_type = 'electricity'
        and meters.meter_mode in ('introduction', 'battery')
    where standing.dataset = 'site_intervals' and standing.subject_id = 'electricity'
),

final as (
    select
        of_meters.check_name,
        of_meters.site_id,
        of_meters.meter_id,
        calendar.local_date,
        min(of_meters.at_utc) as first_at_utc
    from of_meters
    inner join zones on zones.site_id = of_meters.site_id
    inner join calendar
        on calendar.zone = zones.zone
        and epoch_us(calendar.day_start_utc) <= epoch_us(of_meters.at_utc) - of_meters.microseconds_before
        and epoch_us(calendar.day_end_utc) > epoch_us(of_meters.at_utc) - of_meters.microseconds_before
    group by of_meters.check_name, of_meters.site_id, of_meters.meter_id, calendar.local_date
)

select * from final
