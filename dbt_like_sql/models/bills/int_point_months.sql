{{ config(materialized='by_month') }}

-- Days on which a meter of the point was in service, whether or not they are billed: what a person took off the bill is
-- told by the meter's own reasons.
select
    days.site_id,
    coalesce(days.billing_point, days.meter_id) as billing_point,
    bills.meter_type,
    bills.meter_role,
    days.billing_month,
    min(days.local_date) as first_served_on,
    max(days.local_date) as last_served_on,
    count(distinct days.local_date) as days_served
from {{ ref('billing_days') }} as days
inner join {{ ref('billing_monthly') }} as bills
    on bills.site_id = days.site_id
    and bills.meter_id = days.meter_id
    and bills.billing_month = days.billing_month
group by days.site_id, coalesce(days.billing_point, days.meter_id), bills.meter_type, bills.meter_role, days.billing_month
