with

facts as (
    select
        strftime(settings.as_of_utc at time zone 'UTC', '%Y-%m-%dT%H:%M:%SZ') as as_of_utc,
        coverage.first_day::varchar as first_day,
        coverage.last_day::varchar as last_day,
        sites.number::varchar as sites,
        meters.number::varchar as meters,
        settings.close_after_days::varchar as close_after_days,
        settings.default_timezone,
        settings.pipeline_version,
        version() as duckdb_version
    from {{ ref('billing_settings') }} as settings
    cross join (
        select min(local_date) as first_day, max(local_date) as last_day
        from {{ ref('coverage_days') }}
    ) as coverage
    cross join (select count(*) as number from {{ ref('sites') }}) as sites
    cross join (select count(*) as number from {{ ref('meters') }}) as meters
)

select
    key,
    value
from facts
unpivot include nulls (
    value for key in (
        as_of_utc, first_day, last_day, sites, meters, close_after_days, default_timezone, pipeline_version,
        duckdb_version
    )
)
