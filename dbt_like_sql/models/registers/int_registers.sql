{{ config(watch='site_id, meter_id, register, series_kind, step, usual_readings, first_read_on') }}

-- An index falls when a meter is replaced; consumption per interval falls every other time.
with

summed as (
    select
        site_id,
        meter_id,
        register,
        case
            when sum(falls) > 10 and sum(falls) > 0.1 * (sum(falls) + sum(rises)) then 'interval'
            else 'index'
        end as series_kind,
        pow(10, -max(decimals))::decimal(18, 6) as step,
        median(readings)::integer as usual_readings,
        min(local_date) as first_read_on,
        max(local_date) as last_read_on
    from {{ ref('int_register_days') }}
    where first_read_at_utc is not null
    group by site_id, meter_id, register
)

select
    site_id,
    meter_id,
    register,
    series.usual_register,
    series.has_split,
    summed.series_kind,
    summed.step,
    summed.usual_readings,
    summed.first_read_on,
    summed.last_read_on
from summed
inner join {{ ref('int_register_series') }} as series using (site_id, meter_id, register)
order by site_id, meter_id, register
