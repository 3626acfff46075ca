-- Lines of occupancies.csv by the ids that the data have.
with

found as (
    select distinct
        names.site_id,
        names.billing_point,
        lines.occupant,
        lines.first_day,
        lines.last_day
    from {{ source('pipeline', 'occupancies') }} as lines
    inner join {{ ref('billing_point_names') }} as names
        on names.site_called = lines.site
        and names.point_called = lines.billing_point
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
from found
