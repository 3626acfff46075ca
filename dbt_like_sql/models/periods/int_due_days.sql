{{ config(materialized='view') }}

-- Every local day of the month, asked for or not, from the site's creation on, on which the meter is in service, and
-- what is known of the meter on that day. Minutes since 1970, because differences of TIMESTAMPTZ need an extension that
-- not every tool has.
select
    months.site_id,
    months.meter_id,
    months.billing_month,
    months.zone,
    months.period_end_utc,
    months.first_value_on,
    months.last_value_on,
    months.is_listed_now,
    calendar.local_date,
    calendar.day_start_utc,
    calendar.day_end_utc,
    calendar.day_end_utc <= settings.as_of_utc as is_over,
    settings.close_after_days::bigint * 86400000000 as closing_delay_us,
    {{ minutes_between('calendar.day_start_utc', 'calendar.day_end_utc') }} as minutes_of_day,
    greatest(0, {{ minutes_between('calendar.day_start_utc', 'least(calendar.day_end_utc, settings.as_of_utc)') }})
        as elapsed_minutes,
    services.in_service_from,
    services.in_service_until,
    not months.is_listed_now and services.in_service_until is not null as is_gone,
    kinds.meter_type,
    kinds.meter_mode,
    coalesce(kinds.is_rule_meter, false) as is_rule_meter,
    kinds.unit,
    coalesce(kinds.has_split, false) as has_split,
    coalesce(kinds.is_in_split, false) as is_in_split,
    facts.resolution,
    facts.billing_point,
    coalesce(
        facts.is_billed,
        months.is_there and coalesce(kinds.meter_mode = 'consumption' and not kinds.is_rule_meter, false)
    ) as is_billed,
    coalesce(facts.interval_minutes, months.usual_interval_minutes) as presumed_interval_minutes
from {{ ref('meter_months') }} as months
inner join {{ ref('calendar_days') }} as calendar
    on calendar.zone = months.zone
    and calendar.billing_month = months.billing_month
    and calendar.day_start_utc >= months.due_from_utc
inner join {{ ref('meter_services') }} as services
    on services.site_id = months.site_id
    and services.meter_id = months.meter_id
    and calendar.local_date between services.first_day and services.last_day
cross join {{ ref('billing_settings') }} as settings
left join {{ ref('meter_kinds') }} as kinds
    on kinds.site_id = months.site_id
    and kinds.meter_id = months.meter_id
    and calendar.local_date between kinds.first_day and kinds.last_day
left join {{ ref('meter_facts') }} as facts
    on facts.site_id = months.site_id
    and facts.meter_id = months.meter_id
    and calendar.local_date between facts.valid_from and facts.valid_until
