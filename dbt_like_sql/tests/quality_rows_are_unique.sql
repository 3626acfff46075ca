-- A check says one thing of a meter (or of a site as a whole) and a day, and one of a month.
select
    check_name,
    site_id,
    meter_id,
    local_date as period_from
from {{ ref('data_quality_daily') }}
group by check_name, site_id, meter_id, local_date
having count(*) > 1
union all
select
    check_name,
    site_id,
    meter_id,
    billing_month
from {{ ref('data_quality_monthly') }}
group by check_name, site_id, meter_id, billing_month
having count(*) > 1
