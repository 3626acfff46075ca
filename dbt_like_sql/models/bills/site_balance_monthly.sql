{{ config(materialized='by_month', order_by='billing_month, site_id, meter_type') }}

with

site_months as (
    select
        site_id,
        billing_month,
        meter_type,
        sum(consumption)::decimal(18, 6) as consumption,
        sum(production)::decimal(18, 6) as production,
        sum(grid_import)::decimal(18, 6) as grid_import,
        sum(grid_export)::decimal(18, 6) as grid_export,
        sum(self_consumption)::decimal(18, 6) as self_consumption,
        sum(storage_charge)::decimal(18, 6) as storage_charge,
        sum(storage_discharge)::decimal(18, 6) as storage_discharge,
        sum(intervals_present)::integer as intervals_present,
        sum(intervals_expected)::integer as intervals_expected,
        count(*) filter (where intervals_present = intervals_expected) as days_whole,
        -- What is stated for no interval of the month is not known of the site; what is stated for some lacks the others.
        sum(intervals_with_consumption) = sum(intervals_present)
        and sum(intervals_with_production) in (0, sum(intervals_present))
        and sum(intervals_with_grid) in (0, sum(intervals_present))
        and sum(intervals_with_storage) in (0, sum(intervals_present)) as is_stated,
        count(*) filter (where coverage_state is not null) as days_asked
    from {{ ref('site_days') }}
    group by site_id, billing_month, meter_type
),

-- The site's electricity includes charge points, as far as is known. Rule meters hold again what others hold.
consumers as (
    select
        measures.site_id,
        measures.period_from as billing_month,
        series.meter_type,
        sum(measures.total)::decimal(18, 6) as meters_total,
        count(*) as meters,
        bool_and(
            measures.intervals_missing + measures.intervals_null = 0
            and (measures.days_excluded = 0 or measures.is_excluded)
        ) as is_whole
    from {{ ref('meter_month_measures') }} as measures
    inner join (select distinct meter_type from site_months) as series
        on series.meter_type in (measures.meter_type, measures.carrier)
    where measures.meter_role = 'consumer'
    group by measures.site_id, measures.period_from, series.meter_type
),

site_periods as (
    select
        site_id,
        period_from as billing_month,
        max(days_over) as days_over
    from {{ ref('meter_month_measures') }}
    group by site_id, period_from
)

select
    site_id,
    sites.site_name,
    billing_month,
    months.meter_type,
    types.unit,
    months.consumption,
    months.production,
    months.grid_import,
    months.grid_export,
    months.self_consumption,
    -- No share of what the rounding of intervals can make up; and none where storage or what is negative makes it no
    -- share.
    case
        when months.production > checks.tolerance * months.intervals_present
            and months.self_consumption between 0 and months.production
            then months.self_consumption / months.production
    end::double as self_consumption_rate,
    case
        when months.consumption > checks.tolerance * months.intervals_present
            and months.self_consumption between 0 and months.consumption
            then months.self_consumption / months.consumption
    end::double as autonomy_rate,
    months.storage_charge,
    months.storage_discharge,
    coalesce(consumers.meters_total, 0)::decimal(18, 6) as meters_total,
    (months.consumption - coalesce(consumers.meters_total, 0))::decimal(18, 6) as meters_difference,
    coalesce(consumers.meters, 0)::integer as meters,
    months.intervals_present,
    months.intervals_expected,
    months.days_asked::integer as days_asked,
    coalesce(months.is_stated and months.days_whole >= site_periods.days_over, false)
        and coalesce(consumers.is_whole, true) as is_whole,
    splits.days_compared,
    splits.solar as meters_solar,
    splits.grid as meters_grid,
    splits.self_consumption as signed_rule_solar,
    splits.self_consumption_clipped as clipped_rule_solar,
    (splits.solar - splits.self_consumption)::decimal(18, 6) as solar_difference,
    (splits.grid_import - splits.grid)::decimal(18, 6) as grid_to_nobody,
    case when splits.grid_import > 0 then (splits.grid_import - splits.grid) / splits.grid_import end::double
        as grid_to_nobody_rate,
    splits.split_rule
from site_months as months
inner join {{ ref('data_quality_checks') }} as checks on checks.check_name = 'site_balance'
left join {{ ref('sites') }} as sites using (site_id)
left join consumers using (site_id, billing_month, meter_type)
left join site_periods using (site_id, billing_month)
left join {{ ref('int_period_splits') }} as splits
    on splits.site_id = months.site_id
    and splits.period_from = months.billing_month
    and months.meter_type = 'electricity'
left join {{ ref('meter_types') }} as types
    on types.meter_type = months.meter_type
    and types.meter_mode = '*'
