-- Where solar + grid fall short of total, the month is not billable: intervals without a split, or one that does not
-- add up, block it (unless a person accepted that, and says so in the reasons).
select
    site_id,
    meter_id,
    billing_month
from {{ ref('billing_monthly') }}
where
    billable_solar + billable_grid < billable_total - 0.0015 * intervals_present
    and len(reasons) = 0
