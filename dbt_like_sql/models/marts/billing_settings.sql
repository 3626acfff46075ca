with

settings as (
    select * from {{ source('pipeline', 'settings') }}
),

coverage as (
    select * from {{ ref('coverage_days') }}
),

asked as (
    select max(last_asked_at_utc) as as_of_utc from coverage
),

final as (
    select
        asked.as_of_utc,
        settings.close_after_days::integer as close_after_days,
        settings.default_timezone,
        settings.pipeline_version
    from settings
    cross join asked
)

select * from final
