{{ config(watch="date_trunc('month', local_date)::date as billing_month, *") }}

with

changing_meters as (
    select
        site_id,
        meter_id
    from {{ ref('int_register_roles') }}
    group by site_id, meter_id
    having
        min(counting_register) <> max(counting_register)
        or min(drawn_register) <> max(drawn_register)
        or min(feed_in_register) <> max(feed_in_register)
),

roles as (
    from (
        select site_id, meter_id, local_date, counting_register, drawn_register, feed_in_register
        from {{ ref('int_register_roles') }}
        semi join changing_meters using (site_id, meter_id)
    ) unpivot (register for role in (
        counting_register as 'counting', drawn_register as 'drawn', feed_in_register as 'feed_in'
    ))
),

changing_roles as (
    select
        site_id,
        meter_id,
        role
    from roles
    group by site_id, meter_id, role
    having min(register) <> max(register)
),

-- What is counted over midnights at which the index is not known is made up for at the next that is.
gains as (
    select
        site_id,
        meter_id,
        register,
        local_date,
        midnights.counted,
        midnights.counted - lag(midnights.counted ignore nulls) over series as gained
    from {{ ref('int_register_midnights') }} as midnights
    semi join changing_roles using (site_id, meter_id)
    window series as (partition by site_id, meter_id, register order by local_date)
)

select
    site_id,
    meter_id,
    local_date,
    role,
    case
        when gains.counted is not null
            then try_cast(
                sum(coalesce(gains.gained, 0))
                    over (partition by site_id, meter_id, role order by local_date rows unbounded preceding)
                as decimal(18, 6)
            )
    end as counted
from roles
semi join changing_roles using (site_id, meter_id, role)
left join gains using (site_id, meter_id, register, local_date)
