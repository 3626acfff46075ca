{{ config(
    materialized='incremental',
    incremental_strategy='append',
    pre_hook="{{ delete_days_to_build(['meter_indices']) }}"
) }}

with

versions as (
    select * from {{ ref('stg_climkit__meter_indices') }}
    where {{ days_to_build(['meter_indices']) }}
),

final as (
    select
        site_id,
        meter_id,
        read_at_utc,
        index_import_kwh,
        index_export_kwh,
        heat_kwh,
        volume_m3,
        fetched_at_utc,
        local_date
    from versions
    where superseded_at_utc is null
    -- By series, because neighbours then compress well; by month first, so that deleting days touches few row groups.
    order by date_trunc('month', local_date), site_id, meter_id, read_at_utc
)

select * from final
