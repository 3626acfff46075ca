{{ config(materialized='by_day') }}

select * exclude (extra, superseded_at_utc)
from {{ source('climkit', 'sites') }}
where superseded_at_utc is null
