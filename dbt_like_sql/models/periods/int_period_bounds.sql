with

due_days as (
    select
        site_id,
        meter_id,
        period_from,
        min(local_date) as first_due_on,
        max(local_date) as last_due_on,
        count(*) filter (where is_excluded)::integer as days_excluded
    from {{ ref('int_period_days') }}
    group by site_id, meter_id, period_from
),

dated_meters as (
    select distinct
        site_id,
        meter_id
    from {{ ref('meter_services') }}
    where in_service_from is not null or in_service_until is not null
),

-- What a meter delivers on days on which meters.csv says that it was not there is on no bill, and somebody should know:
-- the line may be wrong. Of a meter that was taken out, the provider may go on stating zeros.
out_of_service as (
    select
        periods.site_id,
        periods.meter_id,
        periods.period_from,
        count(*) as days
    from {{ ref('int_periods') }} as periods
    semi join dated_meters using (site_id, meter_id)
    inner join {{ ref('meter_days') }} as days
        on days.site_id = periods.site_id
        and days.meter_id = periods.meter_id
        and days.local_date between periods.period_from and periods.period_until
    left join {{ ref('meter_services') }} as services
        on services.site_id = days.site_id
        and services.meter_id = days.meter_id
        and days.local_date between services.first_day and services.last_day
    where services.meter_id is null and days.total <> 0
    group by periods.site_id, periods.meter_id, periods.period_from
)

select
    site_id,
    meter_id,
    period_from,
    due_days.first_due_on,
    due_days.last_due_on,
    coalesce(due_days.days_excluded, 0) as days_excluded,
    coalesce(out_of_service.days, 0) as days_out_of_service
from {{ ref('int_periods') }} as periods
left join due_days using (site_id, meter_id, period_from)
left join out_of_service using (site_id, meter_id, period_from)
