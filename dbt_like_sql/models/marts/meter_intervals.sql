{{ config(
    materialized='incremental',
    incremental_strategy='append',
    pre_hook="{{ delete_days_to_build(['meter_intervals']) }}"
) }}

with

versions as (
    select * from {{ ref('stg_climkit__meter_intervals') }}
    where {{ days_to_build(['meter_intervals']) }}
),

final as (
    select
        site_id,
        meter_id,
        interval_start_utc,
        interval_end_utc,
        total,
        solar,
        grid,
        fetched_at_utc,
        local_date
    from versions
    where superseded_at_utc is null
    -- By series, because neighbours then compress well; by month first, so that deleting days touches few row groups.
    order by date_trunc('month', local_date), site_id, meter_id, interval_start_utc
)

select * from final
