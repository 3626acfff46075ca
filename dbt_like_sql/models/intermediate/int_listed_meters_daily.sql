{{ config(
    materialized='incremental',
    incremental_strategy='append',
    pre_hook="{{ delete_days_to_build(['meters']) }}"
) }}

with

snapshots as (
    select * from {{ ref('stg_climkit__meters') }}
    where {{ days_to_build(['meters']) }}
),

final as (
    select
        site_id,
        meter_id,
        meter_name,
        meter_type,
        meter_mode,
        primary_address,
        is_rule_meter,
        fetched_at_utc,
        local_date
    from snapshots
    where superseded_at_utc is null
    order by local_date, site_id, meter_id
)

select * from final
