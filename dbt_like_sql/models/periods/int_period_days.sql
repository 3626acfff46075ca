{{ config(materialized='view') }}

select
    *,
    billing_month as period_from
from {{ ref('billing_days') }}
