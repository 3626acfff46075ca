{{ config(materialized='view') }}

-- What came of what was asked for.
with

days as (
    select
        *,
        intervals_present + intervals_null - intervals_due as intervals_too_many,
        (epoch_us(day_end_utc) - epoch_us(day_start_utc)) // 900000000 as quarter_hours
    from {{ ref('int_asked_days') }}
),

-- The register says nothing about the split.
doubled as (
    select
        doubled_rows.*,
        days.zone
    from {{ ref('int_doubled_rows_daily') }} as doubled_rows
    inner join days using (site_id, meter_id, local_date, billing_month)
    inner join {{ ref('int_register_evidence_daily') }} as evidence using (site_id, meter_id, local_date, billing_month)
    where doubled_rows.check_name <> 'conflicting_rows' or days.has_split or not evidence.is_confirmed
)

select 'pending' as check_name, site_id, meter_id, local_date, billing_month, 1::double as measured, null as detail
from days
where coverage_state = 'pending'
union all
select 'failed', site_id, meter_id, local_date, billing_month, 1, null
from days
where coverage_state = 'failed'
union all
select 'missing_intervals', site_id, meter_id, local_date, billing_month, intervals_missing, null
from days
where coverage_state in ('complete', 'gap', 'empty')
union all
select 'null_intervals', site_id, meter_id, local_date, billing_month, intervals_null, null
from days
union all
select 'too_many_intervals', site_id, meter_id, local_date, billing_month, intervals_too_many, null
from days
where is_over
union all
select 'change_day_counts', site_id, meter_id, local_date, billing_month, abs(intervals_too_many), null
from days
where quarter_hours <> 96 and is_over and intervals_present > 0
union all
select 'off_grid', site_id, meter_id, local_date, billing_month, intervals_off_grid, null
from days
union all
-- duplicate_rows, conflicting_rows, conflicting_site_rows, conflicting_readings
select check_name, site_id, meter_id, local_date, billing_month, 1, {{ local_time_of('first_at_utc', 'zone') }}
from doubled
