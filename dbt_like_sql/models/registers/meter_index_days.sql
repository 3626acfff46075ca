{{ config(
    materialized='by_month', month_column='local_date', goes_on=true,
    order_by='billing_month, site_id, meter_id, local_date'
) }}

-- What the register that counts stood at when each day ended, and what it had counted until then.
with

midnights as (
    select * from {{ ref('int_register_midnights') }}
    where {{ is_being_built() }}
),

-- Also of days on which nothing else was read. Consumption per interval lies on no line.
glitch_days as (
    select
        site_id,
        meter_id,
        local_date,
        sum(glitches)::integer as glitches
    from {{ ref('int_register_days') }}
    anti join (from {{ ref('int_registers') }} where series_kind = 'interval') using (site_id, meter_id, register)
    where glitches > 0 and {{ is_being_built() }}
    group by site_id, meter_id, local_date
),

index_days as (
    select
        roles.site_id,
        roles.meter_id,
        roles.local_date,
        date_trunc('month', roles.local_date)::date as billing_month,
        roles.zone,
        coalesce(counting.bound_utc, roles.bound_utc) as index_at_utc,
        'index' as series_kind,
        roles.index_register,
        counting.index_at_end,
        coalesce(counting.index_source, 'none') as index_source,
        counting.distance_minutes as index_distance_minutes,
        counting.uncertainty as index_uncertainty,
        counting.advance,
        case when counting_sums.role is null then counting.counted else counting_sums.counted end as counted,
        coalesce(counting.unmeasured, roles.unmeasured) as unmeasured,
        coalesce(so_far.open_so_far, 0) as open_so_far,
        coalesce(so_far.replacements_so_far, 0) as replacements_so_far,
        coalesce(roles.index_register <> roles.usual_register and roles.stated_register is null, false) as is_swapped,
        feed_in.index_at_end as export_index,
        case when feed_in_sums.role is null then feed_in.counted else feed_in_sums.counted end as export_counted,
        feed_in.uncertainty as export_uncertainty,
        case when drawn_sums.role is null then drawn.counted else drawn_sums.counted end as import_counted,
        drawn.uncertainty as import_uncertainty,
        roles.rollovers,
        coalesce(glitch_days.glitches, 0) as glitches,
        roles.readings,
        roles.usual_readings,
        roles.step,
        null::decimal(18, 6) as load_curve_total
    from {{ ref('int_register_roles') }} as roles
    {% for role in ['counting', 'drawn', 'feed_in'] -%}
    left join midnights as {{ role }}
        on {{ role }}.site_id = roles.site_id
        and {{ role }}.meter_id = roles.meter_id
        and {{ role }}.local_date = roles.local_date
        and {{ role }}.register = roles.{{ role }}_register
    -- Where another register came to count, what each counted while it did.
    left join {{ ref('int_role_counts') }} as {{ role }}_sums
        on {{ role }}_sums.site_id = roles.site_id
        and {{ role }}_sums.meter_id = roles.meter_id
        and {{ role }}_sums.local_date = roles.local_date
        and {{ role }}_sums.role = '{{ role }}'
    {% endfor -%}
    left join {{ ref('int_replaced_days') }} as so_far
        on so_far.site_id = roles.site_id
        and so_far.meter_id = roles.meter_id
        and roles.local_date between so_far.first_day and so_far.last_day
    left join glitch_days
        on glitch_days.site_id = roles.site_id
        and glitch_days.meter_id = roles.meter_id
        and glitch_days.local_date = roles.local_date
)

select * from index_days
union all by name
-- Consumption per interval of the distribution grid's operator: no index, but its sum can be compared.
select
    site_id,
    meter_id,
    local_date,
    date_trunc('month', local_date)::date as billing_month,
    zone,
    bound_utc as index_at_utc,
    'interval' as series_kind,
    'none' as index_source,
    0 as unmeasured,
    false as is_swapped,
    0 as rollovers,
    0 as glitches,
    readings,
    load_curve_total
from {{ ref('int_load_curves_daily') }}
