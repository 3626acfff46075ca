with

listed as (
    select * from {{ ref('int_listed_meters_daily') }}
),

snapshots_taken as (
    select
        site_id,
        max(local_date) as latest_snapshot_on
    from {{ ref('coverage_days') }}
    where dataset = 'meters' and state <> 'failed'
    group by site_id
),

seen as (
    select
        site_id,
        meter_id,
        min(local_date) as first_seen_on,
        max(local_date) as last_seen_on
    from listed
    group by site_id, meter_id
),

newest as (
    select
        listed.*,
        seen.first_seen_on,
        seen.last_seen_on
    from listed
    inner join seen
        on seen.site_id = listed.site_id
        and seen.meter_id = listed.meter_id
        and seen.last_seen_on = listed.local_date
),

final as (
    select
        newest.site_id,
        newest.meter_id,
        newest.meter_name,
        newest.meter_type,
        newest.meter_mode,
        newest.primary_address,
        newest.is_rule_meter,
        newest.first_seen_on,
        newest.last_seen_on,
        -- A snapshot without coverage cannot be dated, so nothing says that the row went away.
        coalesce(newest.last_seen_on >= snapshots_taken.latest_snapshot_on, true) as is_listed,
        newest.fetched_at_utc
    from newest
    left join snapshots_taken on snapshots_taken.site_id = newest.site_id
    order by newest.site_id, newest.meter_id
)

select * from final
