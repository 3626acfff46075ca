with

findings as (
    select * from {{ ref('findings') }}
    where dataset = 'meter_intervals' and code in ('duplicate_rows', 'conflicting_rows')
),

coverage as (
    select * from {{ ref('coverage_days') }}
    where dataset = 'meter_intervals'
),

zones as (
    select * from {{ ref('int_site_zones') }}
),

calendar as (
    select * from {{ ref('calendar_days') }}
),

rows_sent_twice as (
    select
        code,
        site_id,
        subject_id as meter_id,
        found_at_utc,
        unnest(samples)::timestamptz as interval_start_utc
    from findings
),

-- What a later answer said of the day counts instead.
final as (
    select
        rows_sent_twice.code as check_name,
        rows_sent_twice.site_id,
        rows_sent_twice.meter_id,
        calendar.local_date,
        min(rows_sent_twice.interval_start_utc) as interval_start_utc
    from rows_sent_twice
    inner join zones on zones.site_id = rows_sent_twice.site_id
    inner join calendar
        on calendar.zone = zones.zone
        and rows_sent_twice.interval_start_utc >= calendar.day_start_utc
        and rows_sent_twice.interval_start_utc < calendar.day_end_utc
    inner join coverage
        on coverage.site_id = rows_sent_twice.site_id
        and coverage.subject_id = rows_sent_twice.meter_id
        and coverage.local_date = calendar.local_date
        and coverage.last_asked_at_utc <= rows_sent_twice.found_at_utc
    group by rows_sent_twice.code, rows_sent_twice.site_id, rows_sent_twice.meter_id, calendar.local_date
)

select * from final
