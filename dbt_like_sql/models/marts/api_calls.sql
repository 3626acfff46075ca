{{ config(
    materialized='incremental',
    incremental_strategy='append',
    pre_hook="{{ delete_days_to_build(['api_calls'], column='utc_date') }}"
) }}

with

attempts as (
    select * from {{ ref('stg_climkit__api_calls') }}
    where {{ days_to_build(['api_calls'], column='utc_date') }}
),

final as (
    select
        run_id,
        sequence,
        endpoint,
        site_id,
        subject_id,
        window_start_utc,
        window_end_utc,
        attempt,
        started_at_utc,
        duration_seconds,
        status,
        outcome,
        rows_received,
        bytes_received,
        sha256,
        utc_date
    from attempts
    order by started_at_utc, run_id, sequence
)

select * from final
