select
    points.site,
    points.meter,
    points.meter_type,
    points.meter_role,
    bills.billing_month,
    bills.peak_kw::double as peak_kw,
    bills.peak_at_utc at time zone points.zone as local_peak_at,
    bills.interval_minutes as minutes,
    bills.total as energy_kwh,
    (bills.total / nullif(bills.peak_kw, 0))::double as full_load_hours,
    bills.peak_at_utc,
    points.site_id,
    points.meter_id
from {{ ref('billing_monthly') }} as bills
inner join {{ ref('metering_points') }} as points using (site_id, meter_id)
where bills.peak_kw is not null
