with

rows_of_days as (
    select * from {{ source('climkit', 'meter_indices') }}
),

final as (
    select
        site_id,
        meter_id,
        read_at_utc,
        index_import_kwh,
        index_export_kwh,
        heat_kwh,
        volume_m3,
        extra,
        fetched_at_utc,
        superseded_at_utc,
        day as local_date
    from rows_of_days
)

select * from final
