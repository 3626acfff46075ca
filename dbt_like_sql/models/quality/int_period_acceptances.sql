{{ config(materialized='view') }}

-- Who accepted a failure of a whole period: a decision has to name all of it. Of the site itself, where it names no
-- meter.
with

subjects as (
    select site_id, meter_id, period_from, period_until
    from {{ ref('int_periods') }}
    union
    select site_id, null, period_from, period_until
    from {{ ref('int_periods') }}
)

select
    acceptances.check_name,
    subjects.site_id,
    subjects.meter_id,
    subjects.period_from,
    min(acceptances.accepted_by) as accepted_by,
    min_by(acceptances.accepted_why, (acceptances.accepted_by, acceptances.accepted_why)) as accepted_why
from subjects
inner join {{ ref('acceptances') }} as acceptances
    on acceptances.site_id = subjects.site_id
    and (acceptances.meter_id is null or acceptances.meter_id = subjects.meter_id)
    and acceptances.first_day <= subjects.period_from
    and acceptances.last_day >= subjects.period_until
group by acceptances.check_name, subjects.site_id, subjects.meter_id, subjects.period_from
