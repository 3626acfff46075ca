{{ config(materialized='by_day') }}

-- Import and export change places where each goes on from what the other showed, while in its own column one would fall.
with

columns_read as not materialized (
    select
        site_id,
        meter_id,
        local_date,
        read_at_utc,
        coalesce({{ index_of('index_import_kwh') }}, 0) as import_index,
        coalesce({{ index_of('index_export_kwh') }}, 0) as export_index
    from {{ ref('meter_indices') }}
),

-- Only days can hold that on which the export column shows anything, and both columns something of the same height.
overlapping_days as (
    select
        site_id,
        meter_id,
        local_date
    from columns_read
    group by site_id, meter_id, local_date
    having
        bool_or(export_index <> 0)
        and min(import_index) < max(export_index)
        and min(export_index) < max(import_index)
),

pairs as (
    select
        site_id,
        meter_id,
        local_date,
        lag(read_at_utc) over meter_day as before_at_utc,
        read_at_utc,
        lag(import_index) over meter_day as import_before,
        lag(export_index) over meter_day as export_before,
        import_index as import_after,
        export_index as export_after
    from columns_read
    inner join overlapping_days using (site_id, meter_id, local_date)
    window meter_day as (partition by site_id, meter_id, local_date order by read_at_utc)
)

select
    *,
    row_number() over meter_day as number,
    lead(read_at_utc) over meter_day as next_exchange_at_utc
from pairs
where {{ is_exchange('import_before', 'export_before', 'import_after', 'export_after') }}
window meter_day as (partition by site_id, meter_id, local_date order by read_at_utc)
