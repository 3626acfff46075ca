-- What a meter measured for whom: the days of a period that are billed, cut where the billing point or its occupant
-- becomes another.
with

billed_days as (
    select
        *,
        coalesce(billing_point, meter_id) as point
    from {{ ref('int_counted_days') }}
    where is_billed
)

select
    days.site_id,
    days.meter_id,
    days.period_from,
    days.point as billing_point,
    stretches.occupant,
    coalesce(stretches.is_vacant, false) as is_vacant,
    min(days.local_date) as line_from,
    max(days.local_date) as line_until,
    count(*)::integer as days_billed,
    bool_or(days.has_split) as has_split,
    bool_or(days.is_excluded) as is_excluded,
    sum(days.total)::decimal(18, 6) as total,
    case when bool_or(days.has_split) then sum(days.solar) end::decimal(18, 6) as solar,
    case when bool_or(days.has_split) then sum(days.grid) end::decimal(18, 6) as grid,
    sum(days.intervals_due)::integer as intervals_expected,
    sum(days.intervals_present)::integer as intervals_present,
    md5(string_agg(days.content_hash, ',' order by days.local_date)) as content_hash
from billed_days as days
left join {{ ref('occupancies') }} as stretches
    on stretches.site_id = days.site_id
    and stretches.billing_point = days.point
    and days.local_date between stretches.first_day and stretches.last_day
group by
    days.site_id, days.meter_id, days.period_from, days.point, stretches.occupant, stretches.is_vacant,
    stretches.first_day
