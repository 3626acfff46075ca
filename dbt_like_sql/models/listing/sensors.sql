with

seen as (
    select
        site_id,
        sensor_id,
        min(local_date) as first_seen_on,
        max(local_date) as last_seen_on
    from {{ ref('int_listed_sensors_daily') }}
    group by site_id, sensor_id
)

select
    newest.* exclude (fetched_at_utc, local_date),
    seen.first_seen_on,
    seen.last_seen_on,
    -- A snapshot without coverage cannot be dated, so nothing says that the row went away.
    coalesce(seen.last_seen_on >= taken.latest_snapshot_on, true) as is_listed,
    newest.fetched_at_utc
from seen
inner join {{ ref('int_listed_sensors_daily') }} as newest
    on newest.site_id = seen.site_id
    and newest.sensor_id = seen.sensor_id
    and newest.local_date = seen.last_seen_on
left join {{ ref('int_snapshots_taken') }} as taken
    on taken.dataset = 'sensors'
    and taken.site_id = seen.site_id
