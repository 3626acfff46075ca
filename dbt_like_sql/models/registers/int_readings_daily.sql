{{ config(materialized='by_day', order_by='site_id, meter_id, register, local_date') }}

with

readings as (
    select
        {{ series_number('meter_number', 'register') }} as series_number,
        local_date,
        read_at_utc,
        case when {{ is_reached('reading') }} then reading end as reading
    from (select * exclude (site_id, meter_id) from {{ ref('int_register_readings') }})
    unpivot (reading for register in (import, export, heat, volume))
),

in_order as (
    select
        *,
        lag(reading ignore nulls) over (partition by series_number, local_date order by read_at_utc) as before
    from readings
),

summed as (
    select
        series_number,
        local_date,
        count(*)::integer as readings,
        count(*) filter (where reading is null)::integer as readings_absurd,
        sum(reading)::decimal(38, 6) as readings_sum,
        count(*) filter (where reading < before)::integer as falls,
        count(*) filter (where reading > before)::integer as rises,
        max(reading - before) as largest_rise,
        min(read_at_utc) filter (where reading is not null) as first_read_at_utc,
        max(read_at_utc) filter (where reading is not null) as last_read_at_utc,
        min(reading) as lowest,
        max(reading) as highest,
        max({{ decimals_of('reading') }})::integer as decimals
    from in_order
    group by series_number, local_date
)

select
    series.site_id,
    series.meter_id,
    series.register,
    summed.* exclude (series_number)
from summed
inner join {{ ref('int_register_series') }} as series using (series_number)
