with

periods as (
    select
        site_id,
        meter_id,
        billing_month as period_from,
        last_day(billing_month) as period_until,
        period_start_utc,
        period_end_utc,
        is_listed,
        is_there,
        is_listed_now,
        first_value_on,
        last_value_on
    from {{ ref('meter_months') }}
),

period_days as (
    select
        *,
        billing_month as period_from
    from {{ ref('billing_days') }}
),

site_period_days as (
    select
        *,
        billing_month as period_from
    from {{ ref('site_days') }}
),

{{ period_measures() }}

select * from measures
order by period_from, site_id, meter_id
