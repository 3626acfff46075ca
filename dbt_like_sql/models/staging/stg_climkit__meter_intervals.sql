with

rows_of_days as (
    select * from {{ source('climkit', 'meter_intervals') }}
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
        extra,
        fetched_at_utc,
        superseded_at_utc,
        day as local_date
    from rows_of_days
)

select * from final
