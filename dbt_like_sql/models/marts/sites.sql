with

listed as (
    select * from {{ ref('int_listed_sites_daily') }}
),

zones as (
    select * from {{ ref('int_site_zones') }}
),

snapshots_taken as (
    select
        site_id,
        max(local_date) as latest_snapshot_on
    from {{ ref('coverage_days') }}
    where dataset = 'sites' and state <> 'failed'
    group by site_id
),

seen as (
    select
        site_id,
        min(local_date) as first_seen_on,
        max(local_date) as last_seen_on
    from listed
    group by site_id
),

newest as (
    select
        listed.*,
        seen.first_seen_on,
        seen.last_seen_on
    from listed
    inner join seen
        on seen.site_id = listed.site_id
        and seen.last_seen_on = listed.local_date
),

final as (
    select
        newest.site_id,
        newest.site_ref,
        newest.site_name,
        newest.street_name,
        newest.street_number,
        newest.postal_code,
        newest.city,
        newest.created_at_utc,
        newest.latitude,
        newest.longitude,
        newest.timezone,
        newest.is_timezone_assumed,
        zones.zone,
        (newest.created_at_utc at time zone zones.zone)::date as created_on,
        newest.first_seen_on,
        newest.last_seen_on,
        -- A snapshot without coverage cannot be dated, so nothing says that the row went away.
        coalesce(newest.last_seen_on >= snapshots_taken.latest_snapshot_on, true) as is_listed,
        newest.fetched_at_utc
    from newest
    inner join zones on zones.site_id = newest.site_id
    left join snapshots_taken on snapshots_taken.site_id = newest.site_id
    order by newest.site_id
)

select * from final
