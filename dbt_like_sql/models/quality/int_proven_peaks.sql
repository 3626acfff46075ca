{{ config(
    materialized='table',
    order_by='billing_month, site_id, meter_id, local_date',
    watch='billing_month, site_id, meter_id, local_date, proven_peak'
) }}
{# Days of its life on which a plant or a charge point has done as much: then it can. Fewer may be wrong themselves. #}
{% set days_of_proof = 3 %}

-- Plants under snow and charge points rest for weeks, and what they do next towers over all days around it. What they
-- have done on other days of their whole life, they can do; the day in question is among the highest itself.
with

towering as (
    select
        site_id,
        meter_id,
        local_date,
        billing_month
    from {{ ref('int_outstanding_days') }}
    where times_the_others is not null and (meter_mode = 'production' or meter_type = 'charge_point')
),

lives as (
    select
        site_id,
        meter_id,
        list_extract(max(peak, {{ days_of_proof + 1 }}), {{ days_of_proof + 1 }}) as proven_peak
    from {{ ref('int_asked_days') }}
    semi join towering using (site_id, meter_id)
    where intervals_sentinel = 0
    group by site_id, meter_id
)

select
    site_id,
    meter_id,
    towering.local_date,
    towering.billing_month,
    lives.proven_peak
from towering
left join lives using (site_id, meter_id)
