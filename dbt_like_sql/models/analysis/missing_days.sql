select
    points.site,
    points.meter,
    points.meter_type,
    points.meter_role,
    days.local_date,
    days.intervals_due,
    days.intervals_present,
    days.intervals_missing,
    days.intervals_null,
    case
        when not days.is_asked then 'never asked for'
        when days.intervals_present = 0 then 'nothing came'
        when days.intervals_missing > 0 then 'intervals are missing'
        else 'intervals hold no value'
    end as what,
    points.site_id,
    points.meter_id
from {{ ref('billing_days') }} as days
inner join {{ ref('metering_points') }} as points using (site_id, meter_id)
where days.is_over and days.intervals_missing + days.intervals_null > 0
