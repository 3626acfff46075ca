{{ config(watch="date_trunc('month', local_date)::date as billing_month, *") }}

with

column_days as (
    select
        site_id,
        meter_id,
        register,
        local_date,
        days.first_read_at_utc,
        days.last_read_at_utc,
        days.first_index,
        days.last_index
    from {{ ref('int_register_days') }} as days
    inner join {{ ref('int_registers') }} as registers using (site_id, meter_id, register)
    where
        registers.series_kind = 'index'
        and register in ('import', 'export')
        and days.first_read_at_utc is not null
),

-- Meters whose export register ever showed anything.
exporting_meters as (
    select site_id, meter_id from column_days where register = 'export'
    union
    select site_id, meter_id from {{ ref('int_register_exchanges_daily') }}
),

exchanges_inside as (
    select
        site_id,
        meter_id,
        local_date,
        count(*) as exchanges
    from {{ ref('int_register_exchanges_daily') }}
    group by site_id, meter_id, local_date
),

-- Both columns of a day side by side: at its first reading, and at its last, when they may have changed places.
two_columns as (
    select
        site_id,
        meter_id,
        local_date,
        min(first_read_at_utc) as first_read_at_utc,
        max(last_read_at_utc) as last_read_at_utc,
        coalesce(max(first_index) filter (where register = 'import'), 0) as import_at_first,
        coalesce(max(first_index) filter (where register = 'export'), 0) as export_at_first,
        coalesce(max(last_index) filter (where (register = 'import') <> (coalesce(exchanges, 0) % 2 = 1)), 0)
            as import_at_last,
        coalesce(max(last_index) filter (where (register = 'export') <> (coalesce(exchanges, 0) % 2 = 1)), 0)
            as export_at_last
    from column_days
    semi join exporting_meters using (site_id, meter_id)
    left join exchanges_inside using (site_id, meter_id, local_date)
    group by site_id, meter_id, local_date
),

opened as (
    select
        site_id,
        meter_id,
        local_date,
        lag(last_read_at_utc) over meter as before_at_utc,
        first_read_at_utc as read_at_utc,
        lag(import_at_last) over meter as import_before,
        lag(export_at_last) over meter as export_before,
        import_at_first as import_after,
        export_at_first as export_after
    from two_columns
    window meter as (partition by site_id, meter_id order by local_date)
),

exchanges as (
    select
        *,
        false as is_inside
    from opened
    where {{ is_exchange('import_before', 'export_before', 'import_after', 'export_after') }}
    union all
    select
        * exclude (number, next_exchange_at_utc),
        true as is_inside
    from {{ ref('int_register_exchanges_daily') }}
    semi join two_columns using (site_id, meter_id, local_date)
)

select
    *,
    row_number() over (partition by site_id, meter_id order by local_date, is_inside, read_at_utc) as number
from exchanges
order by site_id, meter_id, number
