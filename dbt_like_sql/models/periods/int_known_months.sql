{{ config(materialized='table') }}

with

stated as (
    select
        site_id,
        meter_id,
        billing_month,
        false as is_listed,
        bool_or(coverage_state is not null) as is_asked,
        bool_or(intervals_present > 0) as has_values
    from {{ ref('meter_days') }}
    group by site_id, meter_id, billing_month
    union all
    select distinct
        site_id,
        meter_id,
        date_trunc('month', local_date)::date,
        true,
        false,
        false
    from {{ ref('int_listed_meters_daily') }}
)

select
    site_id,
    meter_id,
    billing_month,
    bool_or(is_listed) as is_listed,
    bool_or(is_asked) as is_asked,
    bool_or(has_values) as has_values
from stated
group by site_id, meter_id, billing_month
