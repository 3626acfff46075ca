with

rows_of_days as (
    select * from {{ source('climkit', 'meters') }}
),

final as (
    select
        site_id,
        meter_id,
        meter_name,
        meter_type,
        meter_mode,
        primary_address,
        is_rule_meter,
        extra,
        fetched_at_utc,
        superseded_at_utc,
        day as local_date
    from rows_of_days
)

select * from final
