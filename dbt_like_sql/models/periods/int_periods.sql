{{ config(materialized='view') }}

-- What is billed: every local month of a meter. The function billing_between states other periods in the place of
-- this view, and of the three that follow from it.
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
