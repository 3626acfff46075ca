with

rows_of_days as (
    select * from {{ source('climkit', 'sites') }}
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
        extra,
        fetched_at_utc,
        superseded_at_utc,
        day as local_date
    from rows_of_days
)

select * from final
