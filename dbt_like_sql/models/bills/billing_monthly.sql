{{ config(materialized='view') }}

select *
from {{ ref('bill_rows') }}
