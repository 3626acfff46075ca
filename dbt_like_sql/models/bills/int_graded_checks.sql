{{ config(materialized='view') }}

-- The checks that grade a period. The function billing_between states those of the dates that are asked for instead.
select
    *,
    billing_month as period_from
from {{ ref('data_quality_monthly') }}
