with

sites as (
    select distinct site, site_id, zone
    from {{ ref('metering_points') }}
)

select
    sites.site,
    coalesce(points.meter, sites.site || ' · all of ' || changes.subject_id) as meter,
    changes.dataset,
    changes.quantity,
    changes.interval_start_utc at time zone sites.zone as local_start,
    changes.local_date,
    changes.kind,
    changes.old_value,
    changes.new_value,
    changes.new_value - changes.old_value as difference,
    changes.first_seen_at_utc,
    changes.revised_at_utc,
    changes.interval_start_utc,
    changes.site_id,
    changes.subject_id
from {{ ref('revisions') }} as changes
inner join sites using (site_id)
left join {{ ref('metering_points') }} as points
    on points.site_id = changes.site_id
    and points.meter_id = changes.subject_id
