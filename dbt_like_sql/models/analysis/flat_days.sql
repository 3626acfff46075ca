with

consumed as (
    select
        points.site,
        points.flat,
        days.meter_type,
        days.unit,
        days.local_date,
        points.site_id,
        coalesce(days.billing_point, days.meter_id) as billing_point,
        sum(days.total)::decimal(18, 6) as total,
        sum(days.solar)::decimal(18, 6) as solar_kwh,
        sum(days.grid)::decimal(18, 6) as grid_kwh,
        sum(days.intervals_present)::integer as intervals_present,
        sum(days.intervals_due)::integer as intervals_due
    from {{ ref('billing_days') }} as days
    inner join {{ ref('metering_points') }} as points using (site_id, meter_id)
    where points.meter_role = 'consumer' and days.is_asked
    group by all
)

select
    consumed.site,
    consumed.flat,
    consumed.meter_type,
    consumed.local_date,
    occupancies.occupant,
    case when consumed.unit = 'kWh' then consumed.total end as energy_kwh,
    consumed.solar_kwh,
    consumed.grid_kwh,
    case when consumed.unit = 'm3' then consumed.total end as volume_m3,
    consumed.unit,
    case when consumed.intervals_due > 0 then least(1.0, consumed.intervals_present / consumed.intervals_due) end::double
        as completeness,
    consumed.site_id,
    consumed.billing_point
from consumed
left join {{ ref('occupancies') }} as occupancies
    on occupancies.site_id = consumed.site_id
    and occupancies.billing_point = consumed.billing_point
    and consumed.local_date between occupancies.first_day and occupancies.last_day
