{{ config(materialized='table', order_by='all') }}

-- What nobody can accept stays as it is, whatever was decided. A decision that names no meter is about every meter of
-- its site, and about the site itself.
select
    check_name,
    decisions.site_id,
    decisions.meter_id,
    decisions.first_day,
    decisions.last_day,
    decisions.decided_by as accepted_by,
    decisions.reason as accepted_why
from {{ ref('decisions') }} as decisions
inner join {{ ref('data_quality_checks') }} as checks using (check_name)
where decisions.action = 'accept' and checks.accepted_for <> 'never'
