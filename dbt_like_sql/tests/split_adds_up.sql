-- Where a split has a meaning, total = solar + grid. It holds by the provider's construction; the tolerance allows for
-- three values rounded to a watt-hour each. Only changed days.
{{ config(severity='warn') }}

select
    intervals.site_id,
    intervals.meter_id,
    intervals.local_date,
    count(*) as intervals_found
from {{ ref('meter_intervals') }} as intervals
inner join {{ ref('int_meters') }} as meters
    on meters.site_id = intervals.site_id
    and meters.meter_id = intervals.meter_id
where
    {{ is_of_changed_day(['meter_intervals'], column='intervals.local_date') }}
    and meters.has_split
    and abs(intervals.total - intervals.solar - intervals.grid) > 0.0015
group by intervals.site_id, intervals.meter_id, intervals.local_date
