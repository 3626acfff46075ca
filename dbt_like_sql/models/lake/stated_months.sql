{{ config(order_by="stated_at_utc, site_id, meter_id, billing_month") }}

select *
from {{ source('climkit', 'stated_months') }}
