{{ config(
    materialized='incremental',
    incremental_strategy='append',
    pre_hook="{{ delete_days_to_build(['sensors']) }}"
) }}

with

snapshots as (
    select * from {{ ref('stg_climkit__sensors') }}
    where {{ days_to_build(['sensors']) }}
),

final as (
    select
        site_id,
        sensor_id,
        sensor_name,
        sensor_type,
        unit,
        model,
        fetched_at_utc,
        local_date
    from snapshots
    where superseded_at_utc is null
    order by local_date, site_id, sensor_id
)

select * from final
