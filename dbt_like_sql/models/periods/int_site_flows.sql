-- What the site states on the days that count for its grid connection or battery. Each of them has to be whole: a day
-- too many and a day too few have the right number of intervals together.
select
    days.site_id,
    days.meter_id,
    days.period_from,
    sum(of_site.grid_import)::decimal(18, 6) as site_grid_import,
    sum(of_site.grid_export)::decimal(18, 6) as site_grid_export,
    sum(of_site.storage_charge)::decimal(18, 6) as site_storage_charge,
    sum(of_site.storage_discharge)::decimal(18, 6) as site_storage_discharge,
    bool_and(
        case kinds.meter_mode
            when 'introduction' then coalesce(of_site.intervals_with_grid, 0)
            when 'battery' then coalesce(of_site.intervals_with_storage, 0)
        end * 15 = days.intervals_due * days.interval_minutes
    ) as is_site_whole,
    bool_and(coalesce({{ is_confirmed(
        'of_site', day_start_utc('last_day(days.billing_month) + 1', 'days.zone'),
        'settings.close_after_days::bigint * 86400000000'
    ) }}, false)) as is_confirmed
from {{ ref('int_counted_days') }} as days
cross join {{ ref('billing_settings') }} as settings
inner join {{ ref('int_period_kinds') }} as kinds
    on kinds.site_id = days.site_id
    and kinds.meter_id = days.meter_id
    and kinds.period_from = days.period_from
    and kinds.meter_type = 'electricity'
    and kinds.meter_mode in ('introduction', 'battery')
left join {{ ref('int_site_period_days') }} as of_site
    on of_site.site_id = days.site_id
    and of_site.local_date = days.local_date
    and of_site.period_from = days.period_from
    and of_site.meter_type = 'electricity'
group by days.site_id, days.meter_id, days.period_from
