-- A local month has 96 quarter-hours a day, and one change of the clock moves it by at most two hours.
select *
from {{ ref('calendar_months') }}
where
    abs(quarter_hours - days_in_month * 96) > 8
    or days_in_month <> day(last_day(billing_month))
    or period_end_utc <= period_start_utc
