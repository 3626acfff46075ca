{{ config(
    materialized='incremental',
    incremental_strategy='append',
    pre_hook="{{ delete_days_to_build(['meter_intervals', 'site_intervals']) }}"
) }}
{% set days_to_build_now = days_to_build(['meter_intervals', 'site_intervals']) %}

with

meter_versions as (
    select * from {{ ref('stg_climkit__meter_intervals') }}
    where {{ days_to_build_now }}
),

site_versions as (
    select * from {{ ref('stg_climkit__site_intervals') }}
    where {{ days_to_build_now }}
),

meters as (
    select * from {{ ref('int_meters') }}
),

meter_rows as (
    select
        meter_versions.site_id,
        meter_versions.meter_id,
        meter_versions.local_date,
        meter_versions.interval_start_utc,
        meters.has_split,
        meters.is_rule_meter,
        {% for quantity in ['total', 'solar', 'grid'] %}
        case when abs(meter_versions.{{ quantity }}) < 1e8 then meter_versions.{{ quantity }}::decimal(18, 6) end
            as {{ quantity }}
        {{- ',' if not loop.last }}
        {% endfor %}
    from meter_versions
    inner join meters
        on meters.site_id = meter_versions.site_id
        and meters.meter_id = meter_versions.meter_id
    where meter_versions.superseded_at_utc is null
),

-- A rule meter holds again what its parts hold.
site_rates as (
    select
        site_id,
        local_date,
        interval_start_utc,
        sum(solar)::double / nullif(sum(total), 0)::double as solar_share
    from meter_rows
    where has_split and not is_rule_meter and solar is not null
    group by site_id, local_date, interval_start_utc
),

withdrawals as (
    select
        site_id,
        local_date,
        interval_start_utc,
        grid_import
    from site_versions
    where superseded_at_utc is null and meter_type = 'electricity'
),

final as (
    select
        meter_rows.site_id,
        meter_rows.meter_id,
        meter_rows.local_date,
        -- Consumers that add up to next to nothing make a share beyond all bounds: it must not stop every model.
        sum(
            least(abs(meter_rows.solar - meter_rows.total::double * site_rates.solar_share), 1e8)::decimal(18, 6)
        ) filter (
            where meter_rows.solar is not null and meter_rows.total is not null and site_rates.solar_share is not null
        )::decimal(18, 6) as uneven_solar,
        sum(meter_rows.grid) filter (
            where meter_rows.has_split and meter_rows.grid > 0 and withdrawals.grid_import <= 0
        )::decimal(18, 6) as grid_without_import
    from meter_rows
    left join site_rates
        on site_rates.site_id = meter_rows.site_id
        and site_rates.local_date = meter_rows.local_date
        and site_rates.interval_start_utc = meter_rows.interval_start_utc
        and meter_rows.has_split
    left join withdrawals
        on withdrawals.site_id = meter_rows.site_id
        and withdrawals.local_date = meter_rows.local_date
        and withdrawals.interval_start_utc = meter_rows.interval_start_utc
        and meter_rows.has_split
    group by meter_rows.site_id, meter_rows.meter_id, meter_rows.local_date
    order by date_trunc('month', meter_rows.local_date), meter_rows.site_id, meter_rows.meter_id, meter_rows.local_date
)

select * from final
