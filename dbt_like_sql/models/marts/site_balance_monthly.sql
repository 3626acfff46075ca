{{ config(materialized='view') }}

with

site_days as (
    select * from {{ ref('site_days') }}
),

measures as (
    select * from {{ ref('meter_month_measures') }}
),

site_months as (
    select
        site_id,
        billing_month,
        meter_type,
        {% for quantity in [
            'consumption', 'production', 'grid_import', 'grid_export', 'self_consumption', 'storage_charge',
            'storage_discharge'
        ] %}
        sum({{ quantity }})::decimal(18, 6) as {{ quantity }},
        {% endfor %}
        sum(intervals_present)::integer as intervals_present,
        sum(intervals_expected)::integer as intervals_expected,
        count(*) filter (where intervals_present = intervals_expected) as days_whole,
        -- What is stated for no interval of the month is not known of the site; what is stated for some lacks the others.
        sum(intervals_with_consumption) = sum(intervals_present)
        {%- for quantity in ['production', 'grid', 'storage'] %}
        and sum(intervals_with_{{ quantity }}) in (0, sum(intervals_present))
        {%- endfor %} as is_stated,
        count(*) filter (where coverage_state is not null) as days_asked
    from site_days
    group by site_id, billing_month, meter_type
),

-- Rule meters hold again what others hold. The site's electricity includes charge points, as far as is known.
consumers as (
    select
        site_id,
        period_from as billing_month,
        meter_type,
        sum(total)::decimal(18, 6) as meters_total,
        count(*) as meters,
        bool_and(intervals_missing + intervals_null = 0 and (days_excluded = 0 or is_excluded)) as is_whole
    from measures
    where meter_mode = 'consumption' and not is_rule_meter
    group by site_id, period_from, meter_type
),

site_periods as (
    select
        site_id,
        period_from as billing_month,
        max(days_over) as days_over
    from measures
    group by site_id, period_from
),

charge_points as (
    select * from consumers
    where meter_type = 'charge_point'
),

final as (
    select
        site_months.site_id,
        sites.site_name,
        site_months.billing_month,
        site_months.meter_type,
        {{ unit_of('site_months.meter_type') }} as unit,
        site_months.consumption,
        site_months.production,
        site_months.grid_import,
        site_months.grid_export,
        site_months.self_consumption,
        -- No share of what the rounding of intervals can make up; and none where storage or what is negative makes it no
        -- share.
        {% for quantity, rate in [('production', 'self_consumption_rate'), ('consumption', 'autonomy_rate')] %}
        case
            when
                site_months.{{ quantity }} > checks.tolerance * site_months.intervals_present
                and site_months.self_consumption between 0 and site_months.{{ quantity }}
                then site_months.self_consumption / site_months.{{ quantity }}
        end::double as {{ rate }},
        {% endfor %}
        site_months.storage_charge,
        site_months.storage_discharge,
        (
            coalesce(consumers.meters_total, 0)
            + case when site_months.meter_type = 'electricity' then coalesce(charge_points.meters_total, 0) else 0 end
        )::decimal(18, 6) as meters_total,
        (
            site_months.consumption - coalesce(consumers.meters_total, 0)
            - case when site_months.meter_type = 'electricity' then coalesce(charge_points.meters_total, 0) else 0 end
        )::decimal(18, 6) as meters_difference,
        (
            coalesce(consumers.meters, 0)
            + case when site_months.meter_type = 'electricity' then coalesce(charge_points.meters, 0) else 0 end
        )::integer as meters,
        site_months.intervals_present,
        site_months.intervals_expected,
        site_months.days_asked::integer as days_asked,
        coalesce(site_months.is_stated and site_months.days_whole >= site_periods.days_over, false)
            and coalesce(consumers.is_whole, true)
            and (site_months.meter_type <> 'electricity' or coalesce(charge_points.is_whole, true)) as is_whole
    from site_months
    inner join {{ ref('data_quality_checks') }} as checks on checks.check_name = 'site_balance'
    left join {{ ref('sites') }} as sites on sites.site_id = site_months.site_id
    left join consumers
        on consumers.site_id = site_months.site_id
        and consumers.billing_month = site_months.billing_month
        and consumers.meter_type = site_months.meter_type
    left join site_periods
        on site_periods.site_id = site_months.site_id
        and site_periods.billing_month = site_months.billing_month
    left join charge_points
        on charge_points.site_id = site_months.site_id
        and charge_points.billing_month = site_months.billing_month
)

select * from final
