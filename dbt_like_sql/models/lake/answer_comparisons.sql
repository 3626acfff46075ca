{{ config(order_by="compared_at_utc, site_id, meter_id, first_day") }}

select *
from {{ source('climkit', 'answer_comparisons') }}
