with

site_ids as (
    select site_id from {{ ref('int_listed_sites_daily') }}
    union
    select site_id from {{ ref('coverage_days') }}
),

-- The lake's days are those of the zone that the site was listed with first (climkit_pipeline.lake.site_zones).
first_listed as (
    select
        site_id,
        min_by(timezone, (fetched_at_utc, local_date)) as timezone
    from {{ ref('int_listed_sites_daily') }}
    group by site_id
),

known_zones as (
    select name as timezone from pg_timezone_names()
)

select
    site_ids.site_id,
    -- A zone that this machine does not know would stop every model of every site.
    coalesce(known_zones.timezone, settings.default_timezone) as zone
from site_ids
cross join {{ source('pipeline', 'settings') }} as settings
left join first_listed using (site_id)
left join known_zones using (timezone)
