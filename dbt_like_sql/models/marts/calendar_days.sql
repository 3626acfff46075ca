with

coverage as (
    select * from {{ ref('coverage_days') }}
),

zones as (
    select distinct zone from {{ ref('int_site_zones') }}
),

asked as (
    select
        min(local_date) as first_asked_on,
        max(local_date) as last_asked_on
    from coverage
),

-- Whole months, from the one before: the reading that opens a month belongs to the day before it.
dates as (
    select
        unnest(generate_series(
            date_trunc('month', first_asked_on) - interval 1 month,
            date_trunc('month', last_asked_on) + interval 1 month,
            interval 1 day
        ))::date as local_date
    from asked
    where first_asked_on is not null
),

day_starts as (
    select
        zones.zone,
        dates.local_date,
        {{ day_start_utc('dates.local_date', 'zones.zone') }} as day_start_utc
    from dates
    cross join zones
),

days as (
    select
        zone,
        local_date,
        date_trunc('month', local_date)::date as billing_month,
        day_start_utc,
        lead(day_start_utc) over (partition by zone order by local_date) as day_end_utc
    from day_starts
),

final as (
    select
        zone,
        local_date,
        billing_month,
        day_start_utc,
        day_end_utc,
        ((epoch_us(day_end_utc) - epoch_us(day_start_utc)) // 900000000)::integer as quarter_hours
    from days
    -- The last date only closes the day before it.
    where day_end_utc is not null
    order by zone, local_date
)

select * from final
