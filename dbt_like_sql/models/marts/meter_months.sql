with

meters as (
    select * from {{ ref('int_meters') }}
),

listed_days as (
    select * from {{ ref('int_listed_meters_daily') }}
),

coverage as (
    select * from {{ ref('coverage_days') }}
),

meter_days as (
    select * from {{ ref('meter_days') }}
),

sites as (
    select * from {{ ref('sites') }}
),

calendar_days as (
    select * from {{ ref('calendar_days') }}
),

calendar_months as (
    select * from {{ ref('calendar_months') }}
),

settings as (
    select * from {{ ref('billing_settings') }}
),

asked_months as (
    select
        site_id,
        meter_id,
        billing_month
    from meter_days
    where coverage_state is not null
    group by site_id, meter_id, billing_month
),

site_ranges as (
    select
        site_id,
        min(billing_month) as first_month,
        max(billing_month) as last_month
    from asked_months
    group by site_id
),

-- What brought no value, or was never asked for, is counted in the steps in which there were values.
usual_steps as (
    select
        site_id,
        meter_id,
        coalesce(
            max_by(interval_minutes, local_date) filter (where intervals_present > 0),
            max_by(interval_minutes, local_date)
        ) as interval_minutes,
        min(local_date) filter (where intervals_present > 0) as first_value_on,
        max(local_date) filter (where intervals_present > 0) as last_value_on
    from meter_days
    group by site_id, meter_id
),

months_with_values as (
    select distinct
        site_id,
        meter_id,
        billing_month
    from meter_days
    where intervals_present > 0
),

listed_meters as (
    select * from {{ ref('meters') }}
),

listed_months as (
    select distinct
        site_id,
        meter_id,
        date_trunc('month', local_date)::date as billing_month
    from listed_days
),

-- Past days get the first list that was read after them; one read within two days is that of the day, in any zone.
first_lists as (
    select
        site_id,
        meter_id,
        min(local_date) as named_from
    from listed_days
    where epoch_us(fetched_at_utc) < epoch_us((local_date + 2)::timestamp)
    group by site_id, meter_id
),

snapshot_months as (
    select distinct
        site_id,
        date_trunc('month', local_date)::date as billing_month
    from coverage
    where dataset = 'meters' and state <> 'failed'
),

known_months as (
    select * from asked_months
    union
    select * from listed_months
),

meter_ranges as (
    select
        site_id,
        meter_id,
        min(billing_month) as first_month,
        max(billing_month) as last_month
    from known_months
    group by site_id, meter_id
),

-- Between its first and last known month, a meter is there in every month of which no list says otherwise. A list from
-- before the meter came, or from after it went, takes away nothing of what it delivered in the same month.
months as (
    select
        meters.site_id,
        meters.meter_id,
        meters.zone,
        calendar_months.billing_month,
        calendar_months.period_start_utc,
        calendar_months.period_end_utc,
        listed_months.meter_id is not null as is_listed,
        listed_months.meter_id is not null or months_with_values.meter_id is not null or snapshot_months.site_id is null
            as may_be_listed
    from meters
    inner join site_ranges on site_ranges.site_id = meters.site_id
    inner join meter_ranges
        on meter_ranges.site_id = meters.site_id
        and meter_ranges.meter_id = meters.meter_id
    inner join calendar_months
        on calendar_months.zone = meters.zone
        and calendar_months.billing_month
        between greatest(site_ranges.first_month, meter_ranges.first_month)
        and least(site_ranges.last_month, meter_ranges.last_month)
    left join known_months
        on known_months.site_id = meters.site_id
        and known_months.meter_id = meters.meter_id
        and known_months.billing_month = calendar_months.billing_month
    left join listed_months
        on listed_months.site_id = meters.site_id
        and listed_months.meter_id = meters.meter_id
        and listed_months.billing_month = calendar_months.billing_month
    left join months_with_values
        on months_with_values.site_id = meters.site_id
        and months_with_values.meter_id = meters.meter_id
        and months_with_values.billing_month = calendar_months.billing_month
    left join snapshot_months
        on snapshot_months.site_id = meters.site_id
        and snapshot_months.billing_month = calendar_months.billing_month
    where known_months.meter_id is not null or snapshot_months.site_id is null
),

-- Days before the site was created are never asked for, so nothing is due on them.
days_due as (
    select
        sites.site_id,
        calendar_days.billing_month,
        min(calendar_days.day_start_utc) as due_from_utc,
        count(*) filter (where calendar_days.day_end_utc <= settings.as_of_utc) as days_over
    from sites
    inner join calendar_days
        on calendar_days.zone = sites.zone
        and calendar_days.local_date >= coalesce(sites.created_on, date '1900-01-01')
    cross join settings
    group by sites.site_id, calendar_days.billing_month
),

final as (
    select
        months.site_id,
        months.meter_id,
        months.billing_month,
        months.period_start_utc,
        months.period_end_utc,
        months.zone,
        coalesce(days_due.due_from_utc, months.period_start_utc) as due_from_utc,
        coalesce(days_due.days_over, 0)::integer as days_over,
        coalesce(usual_steps.interval_minutes, 15) as usual_interval_minutes,
        months.is_listed,
        months.may_be_listed
        and coalesce(
            least(usual_steps.first_value_on, first_lists.named_from) <= last_day(months.billing_month), true
        ) as is_there,
        usual_steps.first_value_on,
        usual_steps.last_value_on,
        coalesce(listed_meters.is_listed, false) as is_listed_now
    from months
    left join usual_steps
        on usual_steps.site_id = months.site_id
        and usual_steps.meter_id = months.meter_id
    left join first_lists
        on first_lists.site_id = months.site_id
        and first_lists.meter_id = months.meter_id
    left join listed_meters
        on listed_meters.site_id = months.site_id
        and listed_meters.meter_id = months.meter_id
    left join sites on sites.site_id = months.site_id
    left join days_due
        on days_due.site_id = months.site_id
        and days_due.billing_month = months.billing_month
    -- A site whose list was never read has no creation date to go by.
    where sites.site_id is null or days_due.site_id is not null
    order by months.billing_month, months.site_id, months.meter_id
)

select * from final
