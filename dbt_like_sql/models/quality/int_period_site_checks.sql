{{ config(materialized='view') }}

-- What only the site as a whole can show, and only when all of the period is there.
with

sums as (
    select
        site_id,
        period_from,
        max(days_over) as days_over,
        bool_and(is_over) as is_over,
        sum(total) filter (where has_split and not is_rule_meter and meter_type = 'electricity') as electricity,
        sum(total) filter (where has_split and not is_rule_meter) as all_consumption,
        max(step) filter (where has_split and not is_rule_meter) as consumer_step,
        count(*) filter (where has_split and not is_rule_meter) as consumers,
        bool_and(intervals_missing + intervals_null = 0 and (days_excluded = 0 or is_excluded))
            filter (where has_split and not is_rule_meter) as is_consumption_whole,
        sum(index_advance) filter (where {{ is_plant() }}) as production,
        max(step) filter (where {{ is_plant() }}) as plant_step,
        bool_and(index_advance is not null and (days_excluded = 0 or is_excluded)) filter (where {{ is_plant() }})
            as is_production_whole
    from {{ ref('int_period_measures') }}
    group by site_id, period_from
),

series as (
    select
        site_id,
        period_from,
        sum(consumption)::decimal(18, 6) as consumption,
        sum(production)::decimal(18, 6) as production,
        bool_and(coalesce(intervals_present = intervals_expected, false)) as is_whole,
        count(*) as days
    from {{ ref('int_site_period_days') }}
    where meter_type = 'electricity'
    group by site_id, period_from
),

splits as (
    select
        *,
        solar - self_consumption as solar_beyond,
        grid_import - grid as billed_to_nobody,
        solar - greatest(coalesce(produced, 0), 0) as not_produced
    from {{ ref('int_period_splits') }}
),

compared as (
    select
        'site_sum' as check_name,
        site_id,
        period_from,
        least(
            abs(series.consumption - sums.electricity), abs(series.consumption - sums.all_consumption)
        ) as difference,
        series.consumption as stated,
        sums.all_consumption as found,
        2 * coalesce(sums.consumer_step, 0.001) * sums.consumers as allowed
    from series
    inner join sums using (site_id, period_from)
    where series.is_whole and sums.is_over and sums.days_over = series.days and sums.is_consumption_whole
    union all
    select
        'production_index',
        site_id,
        period_from,
        abs(series.production - sums.production),
        series.production,
        sums.production,
        2 * coalesce(greatest(sums.plant_step, sums.consumer_step), 0.001) * (sums.consumers + 2)
    from series
    inner join sums using (site_id, period_from)
    where series.is_whole and sums.is_over and sums.days_over = series.days and sums.is_production_whole
)

select
    check_name,
    compared.site_id,
    null::varchar as meter_id,
    compared.period_from,
    case
        when compared.difference <= compared.allowed then 0
        else least(compared.difference / greatest(abs(compared.stated), 0.000001), 1000000)
    end::double as measured,
    compared.difference <= greatest(compared.allowed, abs(compared.stated) * checks.tolerance) as has_passed,
    {{ quantity_of('compared.stated', "'kWh'") }} || ', its meters add up to '
    || {{ quantity_of('compared.found', "'kWh'") }} as detail
from compared
inner join {{ ref('data_quality_checks') }} as checks using (check_name)
-- A series may state every interval, and no value.
where compared.difference is not null
union all
-- Under another scheme, how much goes to whom is not for the provider's rule to say.
select
    'split_sum', site_id, null, period_from,
    case when abs(solar_beyond) <= allowed then 0 else least(abs(solar_beyond) / greatest(abs(consumption), 0.000001), 1000000) end,
    null,
    'solar ' || {{ quantity_of('round(solar, 3)', "'kWh'") }} || ' (the site: ' || {{ quantity_of('round(self_consumption, 3)', "'kWh'") }}
    || '), grid ' || {{ quantity_of('round(grid, 3)', "'kWh'") }} || ' (the site: ' || {{ quantity_of('round(grid_import, 3)', "'kWh'") }}
    || '): ' || {{ quantity_of('round(abs(billed_to_nobody), 3)', "'kWh'") }}
    || case when billed_to_nobody >= 0 then ' from the grid are billed to nobody' else ' too much from the grid are billed' end
from splits
where split_rule <> 'other'
union all
select
    'split_scheme', site_id, null, period_from, case when split_rule = 'other' then 1 else 0 end, null,
    {{ quantity_of('round(solar, 3)', "'kWh'") }} || ' of solar energy, where the provider''s rule gives '
    || {{ quantity_of('round(self_consumption_clipped, 3)', "'kWh'") }} || ' (parts never below 0) or '
    || {{ quantity_of('round(self_consumption, 3)', "'kWh'") }}
from splits
where split_rule is not null
union all
-- A plant that stood still shares out nothing; beside one that ran, registers may be off by as much as the site's sum.
select
    'solar_not_produced', splits.site_id, null, splits.period_from, greatest(splits.not_produced, 0),
    splits.not_produced <= greatest(
        checks.tolerance, splits.allowed,
        case when splits.produced > checks.tolerance then abs(splits.consumption) * sum_checks.tolerance else 0 end
    ),
    {{ quantity_of('round(splits.solar, 3)', "'kWh'") }} || ' of solar energy are billed, while the plants of the site produced '
    || {{ quantity_of('round(greatest(splits.produced, 0), 3)', "'kWh'") }}
from splits
inner join {{ ref('data_quality_checks') }} as checks on checks.check_name = 'solar_not_produced'
inner join {{ ref('data_quality_checks') }} as sum_checks on sum_checks.check_name = 'split_sum'
where splits.produced is not null and not splits.has_storage
