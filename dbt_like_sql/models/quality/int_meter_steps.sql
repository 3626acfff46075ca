{{ config(
    materialized='table', order_by='site_id, meter_id', watch='site_id, meter_id, step, split_step'
) }}

with

-- The step in which a meter states its values: that of its register, else the decimals that its intervals use.
steps as (
    select
        site_id,
        meter_id,
        coalesce(max(indices.step), pow(10, -max(measured.decimals)))::decimal(18, 6) as step
    from {{ ref('meter_days') }} as measured
    left join {{ ref('meter_index_days') }} as indices using (site_id, meter_id, local_date)
    group by site_id, meter_id
),

-- The provider works the split out of all consumers, and of what the site draws.
consumers as (
    select
        site_id,
        count(*) as meters,
        max(steps.step) as coarsest_step
    from {{ ref('meter_kinds') }} as newest
    inner join steps using (site_id, meter_id)
    where newest.last_day = date '9999-12-31' and newest.has_split and not newest.is_rule_meter
    group by site_id
)

select
    site_id,
    meter_id,
    steps.step,
    (coalesce(consumers.coarsest_step, steps.step) * (coalesce(consumers.meters, 0) + 1))::decimal(18, 6) as split_step
from steps
left join consumers using (site_id)
