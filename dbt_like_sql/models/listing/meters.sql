{{ config(watch="site_id, meter_id, meter_name, meter_type, meter_mode, is_rule_meter, is_listed") }}

with

seen as (
    select
        site_id,
        meter_id,
        min(local_date) as first_seen_on,
        max(local_date) as last_seen_on
    from {{ ref('int_listed_meters_daily') }}
    group by site_id, meter_id
),

-- What the user calls it counts, by the last line that gives it a name.
names as (
    select
        site_id,
        meter_id,
        max_by(meter_name, valid_from) as meter_name
    from {{ ref('meter_facts') }}
    where meter_name is not null
    group by site_id, meter_id
)

select
    newest.* exclude (fetched_at_utc, local_date) replace (
        coalesce(names.meter_name, newest.meter_name) as meter_name,
        kinds.meter_mode as meter_mode
    ),
    seen.first_seen_on,
    seen.last_seen_on,
    -- A snapshot without coverage cannot be dated, so nothing says that the row went away.
    coalesce(seen.last_seen_on >= taken.latest_snapshot_on, true) as is_listed,
    newest.fetched_at_utc
from seen
inner join {{ ref('int_listed_meters_daily') }} as newest
    on newest.site_id = seen.site_id
    and newest.meter_id = seen.meter_id
    and newest.local_date = seen.last_seen_on
inner join {{ ref('meter_kinds') }} as kinds
    on kinds.site_id = seen.site_id
    and kinds.meter_id = seen.meter_id
    and kinds.last_day = date '9999-12-31'
left join names
    on names.site_id = seen.site_id
    and names.meter_id = seen.meter_id
left join {{ ref('int_snapshots_taken') }} as taken
    on taken.dataset = 'meters'
    and taken.site_id = seen.site_id
