{#
  Whether the site states flows that differ from what the registers counted: by more than two steps, and by more of the
  larger one than a site's sum may. What is worked out of a large flow is off by a share of that.
#}
{% macro are_apart(stated, counted, step, tolerance) -%}
    greatest(abs({{ stated[0] }} - {{ counted[0] }}), abs({{ stated[1] }} - {{ counted[1] }}))
    > greatest(2 * {{ step }}, abs({{ counted[0] }}) * {{ tolerance }}, abs({{ counted[1] }}) * {{ tolerance }})
{%- endmacro %}

{# CTEs `site_flows` and `site_meters`: what the site states of the flows of its grid connection or battery. #}
{% macro flows_of_sites() -%}
-- What the site states on the days that count for its grid connection or battery. Each of them has to be whole: a day
-- too many and a day too few have the right number of intervals together.
site_flows as (
    select
        days.site_id,
        days.meter_id,
        days.period_from,
        sum(of_site.grid_import)::decimal(18, 6) as grid_import,
        sum(of_site.grid_export)::decimal(18, 6) as grid_export,
        sum(of_site.storage_charge)::decimal(18, 6) as storage_charge,
        sum(of_site.storage_discharge)::decimal(18, 6) as storage_discharge,
        bool_and(
            case kinds.meter_mode
                when 'introduction' then coalesce(of_site.intervals_with_grid, 0)
                when 'battery' then coalesce(of_site.intervals_with_storage, 0)
            end * 15 = days.intervals_due * days.interval_minutes
        ) as is_whole,
        bool_and(coalesce({{ is_confirmed('of_site', day_start_utc('last_day(days.billing_month) + 1', 'days.zone'),
            'settings.close_after_days::bigint * 86400000000') }}, false)) as is_confirmed
    from counted_days as days
    cross join {{ ref('billing_settings') }} as settings
    inner join period_kinds as kinds
        on kinds.site_id = days.site_id
        and kinds.meter_id = days.meter_id
        and kinds.period_from = days.period_from
        and kinds.meter_type = 'electricity'
        and kinds.meter_mode in ('introduction', 'battery')
    left join site_period_days as of_site
        on of_site.site_id = days.site_id
        and of_site.local_date = days.local_date
        and of_site.period_from = days.period_from
        and of_site.meter_type = 'electricity'
    group by days.site_id, days.meter_id, days.period_from
),

-- Those of the period: where one meter took the place of another, the series of the site is of both.
site_meters as (
    select
        periods.site_id,
        periods.period_from,
        count(*) filter (where kinds.meter_mode = 'introduction') as introductions,
        count(*) filter (where kinds.meter_mode = 'battery') as batteries
    from periods
    inner join sums
        on sums.site_id = periods.site_id
        and sums.meter_id = periods.meter_id
        and sums.period_from = periods.period_from
    inner join period_kinds as kinds
        on kinds.site_id = periods.site_id
        and kinds.meter_id = periods.meter_id
        and kinds.period_from = periods.period_from
    where
        kinds.meter_type = 'electricity'
        and not kinds.is_rule_meter
        and (periods.is_listed or sums.intervals_present > 0)
    group by periods.site_id, periods.period_from
)
{%- endmacro %}
