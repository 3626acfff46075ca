-- The names that all views for people bear. A name that two sites, or two meters of a site, have is made unique here.
with

named_sites as (
    select
        site_id,
        zone,
        case
            when count(*) over (partition by site_name) = 1 then coalesce(site_name, site_id)
            else concat_ws(' ', site_name, '(' || site_id || ')')
        end as site
    from {{ ref('sites') }}
),

stated_points as (
    select site_id, meter_id, max_by(billing_point, valid_from) as billing_point
    from {{ ref('meter_facts') }}
    where billing_point is not null
    group by site_id, meter_id
),

named_meters as (
    select
        *,
        case
            when count(*) over (partition by site_id, meter_name) = 1 then coalesce(meter_name, meter_id)
            when count(*) over (partition by site_id, meter_name, meter_type) = 1
                then coalesce(meter_name, meter_id) || ' (' || meter_type || ')'
            else concat_ws(' ', meter_name, '(' || meter_id || ')')
        end as name_at_site
    from {{ ref('meters') }}
)

select
    sites.site,
    sites.site || ' · ' || meters.name_at_site as meter,
    sites.site || ' · ' || coalesce(stated_points.billing_point, meters.name_at_site) as flat,
    meters.meter_type,
    kinds.meter_role,
    kinds.unit,
    meters.site_id,
    meters.meter_id,
    coalesce(stated_points.billing_point, meters.meter_id) as billing_point,
    sites.zone,
    meters.first_seen_on,
    meters.last_seen_on,
    meters.is_listed
from named_meters as meters
inner join named_sites as sites using (site_id)
inner join {{ ref('meter_kinds') }} as kinds
    on kinds.site_id = meters.site_id
    and kinds.meter_id = meters.meter_id
    and kinds.last_day = date '9999-12-31'
left join stated_points
    on stated_points.site_id = meters.site_id
    and stated_points.meter_id = meters.meter_id
