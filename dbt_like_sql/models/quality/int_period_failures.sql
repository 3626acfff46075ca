{{ config(materialized='view') }}

-- What failed on days, with the period that the day belongs to. The function billing_between states those of the dates
-- that are asked for instead.
select
    *,
    billing_month as period_from
from {{ ref('data_quality_daily') }}
