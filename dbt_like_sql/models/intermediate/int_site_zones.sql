with

listed as (
    select * from {{ ref('int_listed_sites_daily') }}
),

coverage as (
    select * from {{ ref('coverage_days') }}
),

settings as (
    select * from {{ source('pipeline', 'settings') }}
),

known_zones as (
    select name as zone from pg_timezone_names()
),

site_ids as (
    select site_id from listed
    union
    select site_id from coverage
),

-- The lake's days are those of the zone that the site was listed with first (climkit_pipeline.lake.site_zones).
first_listed as (
    select
        site_id,
        min_by(timezone, (fetched_at_utc, local_date)) as timezone
    from listed
    group by site_id
),

final as (
    select
        site_ids.site_id,
        -- A zone that this machine does not know would stop every model of every site.
        coalesce(known_zones.zone, settings.default_timezone) as zone
    from site_ids
    cross join settings
    left join first_listed on first_listed.site_id = site_ids.site_id
    left join known_zones on known_zones.zone = first_listed.timezone
    order by site_ids.site_id
)

select * from final
