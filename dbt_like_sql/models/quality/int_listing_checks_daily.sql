{{ config(materialized='view') }}

-- Whether a meter is what it is listed as.
with

kinds as (
    select
        site_id,
        meter_id,
        first_day as local_date,
        date_trunc('month', first_day)::date as billing_month,
        meter_type || ' ' || meter_mode || case when is_rule_meter then ' (rule meter)' else '' end as now_listed,
        lag(now_listed) over (partition by site_id, meter_id order by first_day) as listed_before,
        mode_source is not distinct from lag(mode_source) over (partition by site_id, meter_id order by first_day)
            as is_known_alike
    from {{ ref('meter_kinds') }}
),

-- Either register of electricity may be the one that counts.
register_types as (
    select
        site_id,
        meter_id,
        local_date,
        days.billing_month,
        string_agg(registers.register, ', ' order by registers.register) as found_registers
    from {{ ref('billing_days') }} as days
    inner join {{ ref('int_register_days') }} as registers using (site_id, meter_id, local_date)
    where registers.usual_register is not null
    group by site_id, meter_id, local_date, days.billing_month
    having not bool_or(
        registers.register = registers.usual_register
        or (registers.usual_register in ('import', 'export') and registers.register in ('import', 'export'))
    )
)

select
    'mode_changed' as check_name, site_id, meter_id, local_date, billing_month, 1::double as measured,
    'from ' || listed_before || ' to ' || now_listed as detail
from kinds
-- Where a line of meters.csv begins or ends, no list changed.
where now_listed <> listed_before and is_known_alike
union all
select 'register_type', site_id, meter_id, local_date, billing_month, 1, found_registers
from register_types
union all
-- listed_twice, same_name, shared_point
select check_name, site_id, meter_id, local_date, billing_month, 1, shared_with
from {{ ref('int_shared_identities_daily') }}
