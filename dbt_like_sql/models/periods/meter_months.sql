{{ config(
    materialized='table',
    watch="site_id, meter_id, billing_month, due_from_utc, usual_interval_minutes, is_listed, is_there,"
    ~ " greatest(first_value_on, billing_month - 1), least(last_value_on, last_day(billing_month) + 1), is_listed_now"
) }}

with

snapshot_months as (
    select distinct
        site_id,
        date_trunc('month', local_date)::date as billing_month
    from {{ ref('coverage_days') }}
    where dataset = 'meters' and state <> 'failed'
),

-- Between its first and last known month, a meter is there in every month of which no list says otherwise. A list from
-- before the meter came, or from after it went, takes away nothing of what it delivered in the same month.
months as (
    select
        site_id,
        meter_id,
        lives.* exclude (site_id, meter_id),
        calendar.billing_month,
        calendar.period_start_utc,
        calendar.period_end_utc,
        coalesce(known.is_listed, false) as is_listed,
        coalesce(known.is_listed or known.has_values, false) or snapshots.site_id is null as may_be_listed
    from {{ ref('int_meter_month_spans') }} as spans
    inner join {{ ref('int_meter_lives') }} as lives using (site_id, meter_id)
    inner join {{ ref('calendar_months') }} as calendar
        on calendar.zone = lives.zone
        and calendar.billing_month between spans.span_first_month and spans.span_last_month
    left join {{ ref('int_known_months') }} as known using (site_id, meter_id, billing_month)
    left join snapshot_months as snapshots using (site_id, billing_month)
    where known.is_asked or known.is_listed or snapshots.site_id is null
),

-- Days before the site was created are never asked for, so nothing is due on them.
months_due as (
    select
        sites.site_id,
        calendar.billing_month,
        min(calendar.day_start_utc) as due_from_utc,
        count(*) filter (where calendar.day_end_utc <= settings.as_of_utc) as days_over
    from {{ ref('sites') }} as sites
    inner join {{ ref('calendar_days') }} as calendar
        on calendar.zone = sites.zone
        and calendar.local_date >= coalesce(sites.created_on, date '1900-01-01')
    cross join {{ ref('billing_settings') }} as settings
    group by sites.site_id, calendar.billing_month
)

select
    site_id,
    meter_id,
    billing_month,
    months.period_start_utc,
    months.period_end_utc,
    months.zone,
    coalesce(months_due.due_from_utc, months.period_start_utc) as due_from_utc,
    coalesce(months_due.days_over, 0)::integer as days_over,
    months.usual_interval_minutes,
    months.is_listed,
    months.may_be_listed
    and coalesce(least(months.first_value_on, months.named_from) <= last_day(billing_month), true) as is_there,
    months.first_value_on,
    months.last_value_on,
    months.is_listed_now
from months
left join {{ ref('sites') }} as sites using (site_id)
left join months_due using (site_id, billing_month)
-- A site whose list was never read has no creation date to go by.
where sites.site_id is null or months_due.site_id is not null
