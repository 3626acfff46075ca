{{ config(order_by='period_from, site_id') }}
{# Of what the site consumes: less is told apart from nothing neither by registers nor by roundings. #}
{% set share_of_noise = 0.001 %}
{% set least_noise_kwh = 0.05 %}
{# Of the days of its consumers: rounding makes single days uneven, another scheme many. #}
{% set share_of_uneven = 0.25 %}

-- How the energy of a site was shared among its consumers, beside what the site states: on the days on which all of them
-- state as much of the day as the site does.
--
-- The provider's rule gives a consumer the share of its total that the site's own energy has in the site's consumption.
-- Clipped, that share is 0 where the site's own energy is below 0, as coarse registers make it; signed, it is below 0
-- too. The parts add up to the site's self-consumption in the signed form alone.
with

of_meters as (
    select
        site_id,
        period_from,
        local_date,
        sum(total) as total,
        sum(total) filter (where meter_type = 'electricity') as total_of_electricity,
        sum(solar) as solar,
        sum(solar) filter (where meter_type = 'electricity') as solar_of_electricity,
        sum(grid) as grid,
        sum(grid) filter (where meter_type = 'electricity') as grid_of_electricity,
        max(step) as step,
        count(*) as meters,
        min(intervals_present * interval_minutes) as least_minutes,
        max(intervals_present * interval_minutes) as most_minutes,
        sum(intervals_without_split) as intervals_without_split
    from {{ ref('int_period_days') }}
    where has_split and not is_rule_meter
    group by site_id, period_from, local_date
),

compared_days as (
    select
        site_id,
        period_from,
        of_meters.* exclude (site_id, period_from, local_date),
        of_site.consumption,
        of_site.self_consumption,
        of_site.self_consumption_clipped,
        of_site.grid_import,
        of_site.intervals_negative_self,
        coalesce(of_site.storage_charge, 0) <> 0 or coalesce(of_site.storage_discharge, 0) <> 0 as has_storage
    from of_meters
    inner join {{ ref('int_site_period_days') }} as of_site using (site_id, period_from, local_date)
    where
        of_site.meter_type = 'electricity'
        and of_site.self_consumption is not null
        and of_meters.intervals_without_split = 0
        and of_meters.least_minutes > 0
        and of_meters.least_minutes = of_meters.most_minutes
        and of_meters.least_minutes = of_site.intervals_present * 15
),

sums as (
    select
        site_id,
        period_from,
        count(*)::integer as days_compared,
        sum(meters) as meter_days,
        sum(consumption) as consumption,
        sum(self_consumption) as self_consumption,
        sum(self_consumption_clipped) as self_consumption_clipped,
        sum(grid_import) as grid_import,
        bool_or(has_storage) as has_storage,
        sum(intervals_negative_self)::integer as intervals_negative_self,
        2 * coalesce(max(step), 0.001) * max(meters) as allowed,
        -- The site's electricity includes charge points, as far as is known.
        abs(sum(total) - sum(consumption)) <= coalesce(abs(sum(total_of_electricity) - sum(consumption)), 1e18)
            as has_charge_points,
        case when has_charge_points then sum(solar) else sum(solar_of_electricity) end as solar,
        case when has_charge_points then sum(grid) else sum(grid_of_electricity) end as grid
    from compared_days
    group by site_id, period_from
),

-- Where consumers have unequal shares day by day, they are not shared out by the provider's rule at all.
uneven as (
    select
        site_id,
        period_from,
        count(*) as meter_days
    from {{ ref('int_period_failures') }}
    where check_name = 'equal_autonomy'
    group by site_id, period_from
),

plants as (
    select
        site_id,
        period_from,
        sum(index_advance) as counted,
        bool_and(index_advance is not null) as is_counted,
        sum(total) as stated
    from {{ ref('int_period_measures') }}
    where {{ is_plant() }}
    group by site_id, period_from
)

select
    site_id,
    period_from,
    sums.days_compared,
    sums.consumption::decimal(18, 6) as consumption,
    sums.self_consumption::decimal(18, 6) as self_consumption,
    sums.self_consumption_clipped::decimal(18, 6) as self_consumption_clipped,
    sums.grid_import::decimal(18, 6) as grid_import,
    sums.solar::decimal(18, 6) as solar,
    sums.grid::decimal(18, 6) as grid,
    sums.intervals_negative_self,
    sums.has_storage,
    sums.allowed::decimal(18, 6) as allowed,
    case when plants.is_counted then plants.counted else plants.stated end::decimal(18, 6) as produced,
    greatest({{ least_noise_kwh }}, {{ share_of_noise }} * abs(sums.consumption)) as noise,
    case
        when sums.solar is null then null
        when coalesce(uneven.meter_days > {{ share_of_uneven }} * sums.meter_days, false) then 'other'
        when abs(sums.solar - sums.self_consumption) <= noise
            and abs(sums.solar - sums.self_consumption_clipped) <= noise then 'clipped or signed'
        when abs(sums.solar - sums.self_consumption_clipped) <= noise then 'clipped'
        when abs(sums.solar - sums.self_consumption) <= noise then 'signed'
        else 'other'
    end as split_rule
from sums
left join uneven using (site_id, period_from)
left join plants using (site_id, period_from)
