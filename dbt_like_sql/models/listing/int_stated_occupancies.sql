-- Sites and billing points by the ids that the data have. A name stands for every meter that bears it: a flat's
-- electricity, water and heat are often called the same.
with

named_sites as (
    select
        site_id,
        site_name,
        count(*) over (partition by site_name) as namesakes
    from {{ ref('sites') }}
),

stated_points as (
    select site_id, meter_id, max_by(billing_point, valid_from) as billing_point
    from {{ ref('meter_facts') }}
    where billing_point is not null
    group by site_id, meter_id
),

points as (
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

found as (
    select
        named_sites.site_id,
        points.billing_point,
        lines.occupant,
        lines.first_day,
        lines.last_day
    from {{ source('pipeline', 'occupancies') }} as lines
    inner join named_sites
        on named_sites.site_id = lines.site
        or (named_sites.site_name = lines.site and named_sites.namesakes = 1)
    inner join points
        on points.site_id = named_sites.site_id
        and points.called = lines.billing_point
    qualify points.precedence = min(points.precedence) over (
        partition by named_sites.site_id, lines.billing_point
    )
)

-- Two names for one point can say two things of a day: then whoever came later occupies it.
select
    site_id,
    billing_point,
    occupant,
    first_day,
    coalesce(
        least(last_day, lead(first_day) over (partition by site_id, billing_point order by first_day, occupant) - 1),
        last_day
    ) as last_day
from (select distinct * from found)
