{{ config(materialized='view') }}

select
    zones.site_id,
    calendar.*
from {{ ref('int_site_zones') }} as zones
inner join {{ ref('calendar_days') }} as calendar using (zone)
