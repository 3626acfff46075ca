-- depends_on: {{ ref('meter_intervals') }}
{{ config(
    materialized='incremental',
    incremental_strategy='append',
    pre_hook="{{ delete_days_to_build(['meter_intervals']) }}",
    post_hook="{{ create_meter_intervals_as_of() }}"
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
        superseded_at_utc,
        local_date
    from versions
    where superseded_at_utc is not null
    order by date_trunc('month', local_date), site_id, meter_id, interval_start_utc, superseded_at_utc
)

select * from final
