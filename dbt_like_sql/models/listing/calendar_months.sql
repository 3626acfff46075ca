select
    zone,
    billing_month,
    min(day_start_utc) as period_start_utc,
    max(day_end_utc) as period_end_utc,
    count(*)::integer as days_in_month,
    sum(quarter_hours)::integer as quarter_hours
from {{ ref('calendar_days') }}
group by zone, billing_month
