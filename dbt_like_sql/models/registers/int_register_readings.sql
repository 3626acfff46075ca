{{ config(materialized='view') }}

-- A reading that is off its line stays as a number that no building reaches, so that it is told and counts nothing.
-- A reading belongs to the local day (start, end]. Over the day each register keeps the name of the column in which the
-- day began.
with

columns_read as (
    select
        series.meter_number,
        readings.site_id,
        readings.meter_id,
        readings.local_date,
        -- Of two readings of one instant, the closing one comes first.
        case when paired.site_id is null then readings.read_at_utc
            else make_timestamptz(epoch_us(readings.read_at_utc) - 1) end as read_at_utc,
        series.has_split,
        coalesce(exchanges.number % 2 = 1, false) as is_crossed,
        case when list_contains(off_line.registers, 'import') then 1e10::decimal(18, 6) else {{ reading_of('readings.index_import_kwh') }} end
            as index_import,
        case when list_contains(off_line.registers, 'export') then 1e10::decimal(18, 6) else {{ reading_of('readings.index_export_kwh') }} end
            as index_export,
        case when list_contains(off_line.registers, 'heat') then 1e10::decimal(18, 6) else {{ reading_of('readings.heat_kwh') }} end
            as heat,
        case when list_contains(off_line.registers, 'volume') then 1e10::decimal(18, 6) else {{ reading_of('readings.volume_m3') }} end
            as volume
    from {{ ref('meter_indices') }} as readings
    inner join {{ ref('int_register_series') }} as series
        on series.site_id = readings.site_id
        and series.meter_id = readings.meter_id
        and series.register = 'import'
    inner join {{ ref('calendar_days') }} as calendar
        on calendar.zone = series.zone
        and calendar.local_date = readings.local_date
        and calendar.day_start_utc < readings.read_at_utc
        and calendar.day_end_utc >= readings.read_at_utc
    left join {{ ref('int_register_exchanges_daily') }} as exchanges
        on exchanges.site_id = readings.site_id
        and exchanges.meter_id = readings.meter_id
        and exchanges.local_date = readings.local_date
        and exchanges.read_at_utc <= readings.read_at_utc
        and coalesce(exchanges.next_exchange_at_utc > readings.read_at_utc, true)
    left join {{ ref('int_paired_readings') }} as paired
        on paired.site_id = readings.site_id
        and paired.meter_id = readings.meter_id
        and paired.local_date = readings.local_date
        and paired.read_at_utc = readings.read_at_utc
        and (paired.closing.import, paired.closing.export, paired.closing.heat, paired.closing.volume)
            is not distinct from
            (readings.index_import_kwh, readings.index_export_kwh, readings.heat_kwh, readings.volume_m3)
    left join (
        select site_id, meter_id, local_date, read_at_utc, list(register) as registers
        from {{ ref('int_readings_off_line') }}
        group by site_id, meter_id, local_date, read_at_utc
    ) as off_line
        on off_line.site_id = readings.site_id
        and off_line.meter_id = readings.meter_id
        and off_line.local_date = readings.local_date
        and off_line.read_at_utc = readings.read_at_utc
),

followed as (
    select
        * exclude (is_crossed, index_import, index_export),
        case when is_crossed then index_export else index_import end as import,
        case when is_crossed then index_import else index_export end as export
    from columns_read
)

-- The export register of a meter that only consumes stands at 0 and says nothing.
select
    meter_number,
    site_id,
    meter_id,
    local_date,
    read_at_utc,
    import,
    case when not (has_split and export = 0) then export end as export,
    heat,
    volume
from followed
