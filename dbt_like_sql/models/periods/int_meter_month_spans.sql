{{ config(materialized='table') }}

with

-- Inside the months that were ever asked for at the site of a meter, from the meter's first known month to its last.
site_spans as (
    select
        site_id,
        min(billing_month) as first_month,
        max(billing_month) as last_month
    from {{ ref('int_known_months') }}
    where is_asked
    group by site_id
),

meter_spans as (
    select
        site_id,
        meter_id,
        min(billing_month) as first_month,
        max(billing_month) as last_month
    from {{ ref('int_known_months') }}
    where is_asked or is_listed
    group by site_id, meter_id
)

select
    site_id,
    meter_id,
    greatest(site_spans.first_month, meter_spans.first_month) as span_first_month,
    least(site_spans.last_month, meter_spans.last_month) as span_last_month
from meter_spans
inner join site_spans using (site_id)
