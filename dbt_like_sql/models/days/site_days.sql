{{ config(order_by="billing_month, site_id, meter_type, local_date") }}

with

coverage as (
    select
        *,
        subject_id as meter_type
    from {{ ref('coverage_days') }}
    where dataset = 'site_intervals'
),

interval_rows as (
    select
        site_id,
        meter_type,
        local_date,
        {{ quantity('consumption') }} as consumption,
        {{ quantity('production') }} as production,
        {{ rest_of('consumption', 'self_consumption', 'grid_import') }} as grid_import,
        {{ quantity('self_consumption') }} as self_consumption,
        {{ rest_of('production', 'self_consumption', 'grid_export') }} as grid_export,
        {{ quantity('storage_charge') }} as storage_charge,
        {{ quantity('storage_discharge') }} as storage_discharge
    from {{ ref('site_intervals') }}
),

sums as (
    select
        site_id,
        meter_type,
        local_date,
        sum(consumption)::decimal(18, 6) as consumption,
        sum(production)::decimal(18, 6) as production,
        sum(grid_import)::decimal(18, 6) as grid_import,
        sum(self_consumption)::decimal(18, 6) as self_consumption,
        sum(grid_export)::decimal(18, 6) as grid_export,
        -- What the parts of the meters add up to where each of them is 0 whenever the site's is below 0.
        sum(case when self_consumption is not null then greatest(self_consumption, 0) end)::decimal(18, 6)
            as self_consumption_clipped,
        count(*) filter (where self_consumption < 0) as intervals_negative_self,
        sum(storage_charge)::decimal(18, 6) as storage_charge,
        sum(storage_discharge)::decimal(18, 6) as storage_discharge,
        count(*) as intervals_present,
        count(consumption) as intervals_with_consumption,
        count(production + self_consumption) as intervals_with_production,
        count(grid_import + grid_export) as intervals_with_grid,
        count(storage_charge + storage_discharge) as intervals_with_storage,
        -- Where a site stores energy, what goes into and out of the store belongs to the balance too; how the provider
        -- counts it is not documented, so only sites without are judged.
        max(greatest(
            abs(consumption - self_consumption - grid_import), abs(production - self_consumption - grid_export)
        )) filter (where coalesce(storage_charge, 0) = 0 and coalesce(storage_discharge, 0) = 0) as balance_error
    from interval_rows
    group by site_id, meter_type, local_date
),

site_dates as (
    select site_id, meter_type, local_date from coverage
    union
    select site_id, meter_type, local_date from sums
)

select
    site_id,
    meter_type,
    local_date,
    date_trunc('month', local_date)::date as billing_month,
    sums.consumption,
    sums.production,
    sums.grid_import,
    sums.self_consumption,
    sums.grid_export,
    sums.self_consumption_clipped,
    coalesce(sums.intervals_negative_self, 0)::integer as intervals_negative_self,
    sums.storage_charge,
    sums.storage_discharge,
    coalesce(sums.intervals_present, 0)::integer as intervals_present,
    coalesce(sums.intervals_with_consumption, 0)::integer as intervals_with_consumption,
    coalesce(sums.intervals_with_production, 0)::integer as intervals_with_production,
    coalesce(sums.intervals_with_grid, 0)::integer as intervals_with_grid,
    coalesce(sums.intervals_with_storage, 0)::integer as intervals_with_storage,
    coverage.expected as intervals_expected,
    sums.balance_error,
    coverage.state as coverage_state,
    coverage.first_asked_at_utc as first_fetched_at_utc,
    coverage.last_asked_at_utc as last_fetched_at_utc,
    coverage.equal_after_month
from site_dates
left join sums using (site_id, meter_type, local_date)
left join coverage using (site_id, meter_type, local_date)
