{{ config(
    materialized='incremental',
    incremental_strategy='append',
    pre_hook="{{ delete_days_to_build(['site_intervals'], 'any') }}"
) }}
{% set days_to_build_now = days_to_build(['site_intervals'], 'any') %}
{% set quantities = [
    'consumption', 'production', 'grid_import', 'self_consumption', 'grid_export', 'storage_charge', 'storage_discharge'
] %}

with

versions as (
    select * from {{ ref('stg_climkit__site_intervals') }}
    where {{ days_to_build_now }}
),

coverage as (
    select * from {{ ref('coverage_days') }}
    where dataset = 'site_intervals' and {{ days_to_build_now }}
),

current_rows as (
    select
        site_id,
        meter_type,
        local_date,
        {% for quantity in quantities %}
        case when abs({{ quantity }}) < 1e8 then {{ quantity }}::decimal(18, 6) end as {{ quantity }}
        {{- ',' if not loop.last }}
        {% endfor %}
    from versions
    where superseded_at_utc is null
),

sums as (
    select
        site_id,
        meter_type,
        local_date,
        {% for quantity in quantities %}
        sum({{ quantity }})::decimal(18, 6) as {{ quantity }},
        {% endfor %}
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
    from current_rows
    group by site_id, meter_type, local_date
),

site_dates as (
    select site_id, subject_id as meter_type, local_date from coverage
    union
    select site_id, meter_type, local_date from sums
),

final as (
    select
        site_dates.site_id,
        site_dates.meter_type,
        site_dates.local_date,
        date_trunc('month', site_dates.local_date)::date as billing_month,
        {% for quantity in quantities %}
        sums.{{ quantity }},
        {% endfor %}
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
    left join sums
        on sums.site_id = site_dates.site_id
        and sums.meter_type = site_dates.meter_type
        and sums.local_date = site_dates.local_date
    left join coverage
        on coverage.site_id = site_dates.site_id
        and coverage.subject_id = site_dates.meter_type
        and coverage.local_date = site_dates.local_date
    order by billing_month, site_dates.site_id, site_dates.meter_type, site_dates.local_date
)

select * from final
