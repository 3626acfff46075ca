{{ config(materialized='view') }}

select * exclude (is_closed, valid_until_utc)
from {{ ref('billing_closed_versions') }}
where is_closed
