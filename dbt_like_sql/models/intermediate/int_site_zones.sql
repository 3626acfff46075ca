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

newest as (
    select
        site_id,
        max_by(timezone, local_date) as timezone
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
    left join newest on newest.site_id = site_ids.site_id
    left join known_zones on known_zones.zone = newest.timezone
    order by site_ids.site_id
)

select * from final
