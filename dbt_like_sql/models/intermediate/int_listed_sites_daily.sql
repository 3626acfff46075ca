{{ config(
    materialized='incremental',
    incremental_strategy='append',
    pre_hook="{{ delete_days_to_build(['sites']) }}"
) }}

with

snapshots as (
    select * from {{ ref('stg_climkit__sites') }}
    where {{ days_to_build(['sites']) }}
),

final as (
    select
        site_id,
        site_ref,
        site_name,
        street_name,
        street_number,
        postal_code,
        city,
        created_at_utc,
        latitude,
        longitude,
        timezone,
        is_timezone_assumed,
        fetched_at_utc,
        local_date
    from snapshots
    where superseded_at_utc is null
    order by local_date, site_id
)

select * from final
