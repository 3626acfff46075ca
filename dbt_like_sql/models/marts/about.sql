with

settings as (
    select * from {{ ref('billing_settings') }}
),

coverage as (
    select
        min(local_date) as first_day,
        max(local_date) as last_day
    from {{ ref('coverage_days') }}
),

site_counts as (
    select count(*) as sites from {{ ref('sites') }}
),

meter_counts as (
    select count(*) as meters from {{ ref('meters') }}
),

facts as (
    select
        strftime(settings.as_of_utc at time zone 'UTC', '%Y-%m-%dT%H:%M:%SZ') as as_of_utc,
        coverage.first_day::varchar as first_day,
        coverage.last_day::varchar as last_day,
        site_counts.sites::varchar as sites,
        meter_counts.meters::varchar as meters,
        settings.close_after_days::varchar as close_after_days,
        settings.default_timezone,
        settings.pipeline_version,
        '{{ dbt_version }}' as dbt_version,
        version() as duckdb_version
    from settings
    cross join coverage
    cross join site_counts
    cross join meter_counts
),

final as (
    select
        key,
        value
    from facts
    unpivot include nulls (
        value for key in (
            as_of_utc,
            first_day,
            last_day,
            sites,
            meters,
            close_after_days,
            default_timezone,
            pipeline_version,
            dbt_version,
            duckdb_version
        )
    )
)

select * from final
