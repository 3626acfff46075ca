{{ config(
    materialized='incremental',
    incremental_strategy='append',
    pre_hook="{{ delete_days_to_build(['sensor_readings']) }}"
) }}

with

versions as (
    select * from {{ ref('stg_climkit__sensor_readings') }}
    where {{ days_to_build(['sensor_readings']) }}
),

final as (
    select
        site_id,
        sensor_id,
        read_at_utc,
        reading,
        fetched_at_utc,
        local_date
    from versions
    where superseded_at_utc is null
    -- By series, because neighbours then compress well; by month first, so that deleting days touches few row groups.
    order by date_trunc('month', local_date), site_id, sensor_id, read_at_utc
)

select * from final
