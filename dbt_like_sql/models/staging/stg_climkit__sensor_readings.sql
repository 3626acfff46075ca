with

rows_of_days as (
    select * from {{ source('climkit', 'sensor_readings') }}
),

final as (
    select
        site_id,
        sensor_id,
        read_at_utc,
        reading,
        extra,
        fetched_at_utc,
        superseded_at_utc,
        day as local_date
    from rows_of_days
)

select * from final
