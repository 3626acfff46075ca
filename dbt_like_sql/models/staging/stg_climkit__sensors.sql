with

rows_of_days as (
    select * from {{ source('climkit', 'sensors') }}
),

final as (
    select
        site_id,
        sensor_id,
        sensor_name,
        sensor_type,
        unit,
        model,
        extra,
        fetched_at_utc,
        superseded_at_utc,
        day as local_date
    from rows_of_days
)

select * from final
