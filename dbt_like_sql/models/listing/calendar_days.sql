with

-- Whole months, from the one before: the reading that opens a month belongs to the day before it.
dates as (
    select unnest(generate_series(
        date_trunc('month', min(local_date)) - interval 1 month,
        date_trunc('month', max(local_date)) + interval 1 month,
        interval 1 day
    ))::date as local_date
    from {{ ref('coverage_days') }}
    having count(*) > 0
),

day_starts as (
    select
        zones.zone,
        dates.local_date,
        {{ day_start_utc('dates.local_date', 'zones.zone') }} as day_start_utc
    from dates
    cross join (select distinct zone from {{ ref('int_site_zones') }}) as zones
),

days as (
    select
        *,
        lead(day_start_utc) over (partition by zone order by local_date) as day_end_utc
    from day_starts
)

select
    zone,
    local_date,
    date_trunc('month', local_date)::date as billing_month,
    day_start_utc,
    day_end_utc,
    ((epoch_us(day_end_utc) - epoch_us(day_start_utc)) // 900000000)::integer as quarter_hours
from days
-- The last date only closes the day before it.
where day_end_utc is not null
