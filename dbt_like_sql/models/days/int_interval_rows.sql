{{ config(materialized='view') }}

-- Only an interval that starts inside the local day counts for it. What cannot be a quantity counts as null: no meter
-- measures 100 million kWh in one interval, and one such number must not stop every model.
select
    intervals.site_id,
    intervals.meter_id,
    intervals.local_date,
    intervals.interval_start_utc,
    intervals.interval_end_utc,
    calendar.day_start_utc,
    calendar.day_end_utc,
    {{ minutes_between('intervals.interval_start_utc', 'intervals.interval_end_utc') }} as minutes,
    {{ minutes_between('calendar.day_start_utc', 'intervals.interval_start_utc') }}::smallint + 1 as place,
    {{ quantity('intervals.total') }} as total,
    {{ quantity('intervals.solar') }} as solar,
    {{ rest_of('intervals.total', 'intervals.solar', 'intervals.grid') }} as grid
from {{ ref('meter_intervals') }} as intervals
inner join {{ ref('int_site_calendar') }} as calendar
    on calendar.site_id = intervals.site_id
    and calendar.local_date = intervals.local_date
    and calendar.day_start_utc <= intervals.interval_start_utc
    and calendar.day_end_utc > intervals.interval_start_utc
