-- Whose a billing point is on which days, for all days of a point that somebody ever occupied: what lies between
-- occupancies, before the first and after the last one is the owner's.
with

neighbours as (
    select
        *,
        lag(last_day) over of_point as last_day_before,
        lead(first_day) over of_point as first_day_after
    from {{ ref('int_stated_occupancies') }}
    where first_day <= last_day
    window of_point as (partition by site_id, billing_point order by first_day)
)

select site_id, billing_point, occupant, false as is_vacant, first_day, last_day
from neighbours
union all
select site_id, billing_point, null, true, coalesce(last_day_before + 1, date '1900-01-01'), first_day - 1
from neighbours
where first_day > coalesce(last_day_before + 1, date '1900-01-01')
union all
select site_id, billing_point, null, true, last_day + 1, date '9999-12-31'
from neighbours
where first_day_after is null and last_day < date '9999-12-31'
