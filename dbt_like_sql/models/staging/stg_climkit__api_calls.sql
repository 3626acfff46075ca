with

rows_of_days as (
    select * from {{ source('climkit', 'api_calls') }}
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
        rows as rows_received,
        bytes as bytes_received,
        sha256,
        day as utc_date
    from rows_of_days
)

select * from final
