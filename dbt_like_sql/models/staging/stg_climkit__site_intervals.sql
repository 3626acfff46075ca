with

rows_of_days as (
    select * from {{ source('climkit', 'site_intervals') }}
),

final as (
    select
        site_id,
        meter_type,
        interval_start_utc,
        interval_end_utc,
        consumption,
        production,
        grid_import,
        self_consumption,
        grid_export,
        storage_charge,
        storage_discharge,
        extra,
        fetched_at_utc,
        superseded_at_utc,
        day as local_date
    from rows_of_days
)

select * from final
