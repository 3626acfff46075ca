{{ config(materialized='view') }}

-- Days that were asked for, of meters that were listed at some time, with what their intervals look like one by one. A
-- check reads only the columns that it names.
select
    site_id,
    meter_id,
    local_date,
    billing_month,
    days.zone,
    days.day_start_utc,
    days.day_end_utc,
    days.is_over,
    days.coverage_state,
    days.meter_type,
    days.meter_mode,
    days.is_rule_meter,
    days.unit,
    days.has_split,
    days.is_in_split,
    days.total,
    days.interval_minutes,
    days.intervals_due,
    days.intervals_present,
    days.intervals_missing,
    days.intervals_null,
    days.intervals_without_split,
    days.peak,
    days.peak_at_utc,
    measured.first_nonzero_utc,
    measured.last_nonzero_utc,
    measured.split_error,
    measured.lowest,
    measured.intervals_off_grid,
    measured.intervals_sentinel,
    measured.longest_repeat,
    measured.repeated_total
from {{ ref('billing_days') }} as days
semi join {{ ref('meters') }} as listed using (site_id, meter_id)
inner join {{ ref('meter_days') }} as measured using (site_id, meter_id, local_date, billing_month)
where days.is_asked
