{{ config(materialized='view', post_hook="{{ create_billing_between() }}") }}

with

measures as (
    select * from {{ ref('meter_month_measures') }}
),

checked as (
    select
        *,
        billing_month as period_from
    from {{ ref('data_quality_monthly') }}
),

{{ billing_rows() }}

select * from final
