{{ config(order_by="found_at_utc, dataset, site_id, subject_id, code") }}

select *
from {{ source('climkit', 'findings') }}
