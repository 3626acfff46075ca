{{ config(materialized='view') }}

with

measures as (
    select * from {{ ref('meter_month_measures') }}
),

period_failures as (
    select
        *,
        billing_month as period_from
    from {{ ref('data_quality_daily') }}
),

site_period_days as (
    select
        *,
        billing_month as period_from
    from {{ ref('site_days') }}
),

{{ period_checks() }},

final as (
    select
        check_name,
        site_id,
        meter_id,
        period_from as billing_month,
        severity,
        measured,
        tolerance,
        tolerance_unit,
        passed,
        reason_code,
        reason,
        is_accepted,
        accepted_by,
        accepted_why
    from checked
)

select * from final
