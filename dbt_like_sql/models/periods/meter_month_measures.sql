{{ config(order_by="site_id, meter_id") }}

select *
from {{ ref('int_period_measures') }}
