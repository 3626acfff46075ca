with

register_days as (
    select * from {{ ref('int_register_days') }}
    where first_read_at_utc is not null
),

-- An index falls when a meter is replaced; consumption per interval falls every other time.
final as (
    select
        site_id,
        meter_id,
        register,
        any_value(usual_register) as usual_register,
        any_value(has_split) as has_split,
        case
            when sum(falls) > 10 and sum(falls) > 0.1 * (sum(falls) + sum(rises)) then 'interval'
            else 'index'
        end as series_kind,
        pow(10, -max(decimals))::decimal(18, 6) as step,
        median(readings)::integer as usual_readings,
        min(local_date) as first_read_on,
        max(local_date) as last_read_on
    from register_days
    group by site_id, meter_id, register
    order by site_id, meter_id, register
)

select * from final
