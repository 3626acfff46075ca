{{ config(materialized='by_month', month_column='local_date', goes_on=true) }}

-- What each register stood at when a day ended, kept; and what happened in that day.
with

-- The operator's load curve is what the meter counts, whatever its other register shows.
load_curve_meters as (
    select * from {{ ref('int_registers') }}
    where series_kind = 'interval' and register = usual_register
),

-- Across a cut the register measured nothing.
cut_days as (
    select
        site_id,
        meter_id,
        register,
        local_date,
        coalesce(sum(total_between) filter (where cut <> 'rollover'), 0)::decimal(18, 6) as unmeasured,
        coalesce(sum(open_between) filter (where cut <> 'rollover'), 0)::decimal(18, 6) as open,
        count(*) filter (where cut = 'rollover') as rollovers
    from {{ ref('int_register_cuts') }}
    group by site_id, meter_id, register, local_date
)

select
    site_id,
    meter_id,
    register,
    local_date,
    bounds.* exclude (site_id, meter_id, register, local_date),
    case when local_date - lag(local_date) over series = 1 then bounds.counted - lag(bounds.counted) over series end
        as advance,
    coalesce(cut_days.unmeasured, 0)::decimal(18, 6) as unmeasured,
    coalesce(cut_days.open, 0)::decimal(18, 6) as open,
    coalesce(cut_days.rollovers, 0) as rollovers
from {{ ref('int_register_bounds') }} as bounds
anti join load_curve_meters using (site_id, meter_id)
left join cut_days using (site_id, meter_id, register, local_date)
window series as (partition by site_id, meter_id, register order by local_date)
