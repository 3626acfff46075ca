{{ config(materialized='table') }}

select
    asked.as_of_utc,
    settings.close_after_days::integer as close_after_days,
    settings.default_timezone,
    settings.pipeline_version
from {{ source('pipeline', 'settings') }} as settings
cross join (select max(last_asked_at_utc) as as_of_utc from {{ ref('coverage_days') }}) as asked
