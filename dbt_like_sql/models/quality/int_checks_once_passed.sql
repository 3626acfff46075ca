{{ config(materialized='table', order_by='check_name, site_id', watch='check_name, site_id, since') }}

-- Where the meters added up to the site in a month that was closed, all of them are visible: a difference is an error.
select
    checked.check_name,
    checked.site_id,
    min(checked.period_from) as since
from {{ ref('int_period_own_checks') }} as checked
inner join {{ ref('data_quality_checks') }} as checks
    on checks.check_name = checked.check_name
    and checks.blocks_once_passed
inner join {{ ref('billing_closings') }} as closings
    on closings.site_id = checked.site_id
    and closings.billing_month = checked.period_from
    and closings.is_closed
where checked.passed
group by checked.check_name, checked.site_id
