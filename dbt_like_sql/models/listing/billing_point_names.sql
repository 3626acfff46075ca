-- What a billing point may be called: by meters.csv, or by the id or the name of a meter. A name stands for every meter
-- that bears it: a flat's electricity, water and heat are often called the same. What is called so in the stricter sense
-- counts alone.
with

stated_points as (
    select site_id, meter_id, max_by(billing_point, valid_from) as billing_point
    from {{ ref('meter_facts') }}
    where billing_point is not null
    group by site_id, meter_id
),

names as (
    select
        site_id,
        billing_point as called,
        billing_point,
        1 as precedence
    from {{ ref('meter_facts') }}
    where billing_point is not null
    union
    select
        meters.site_id,
        unnest([meters.meter_id, meters.meter_name]),
        coalesce(stated_points.billing_point, meters.meter_id),
        unnest([2, 3])
    from {{ ref('meters') }} as meters
    left join stated_points using (site_id, meter_id)
),

-- A site may be called by its name where no other site has it.
sites as (
    select
        site_id,
        site_id as called
    from {{ ref('sites') }}
    union
    select
        any_value(site_id),
        site_name
    from {{ ref('sites') }}
    group by site_name
    having count(*) = 1
)

select distinct
    site_id,
    sites.called as site_called,
    names.called as point_called,
    names.billing_point
from names
inner join sites using (site_id)
where names.called is not null and sites.called is not null
qualify names.precedence = min(names.precedence) over (partition by site_id, names.called)
