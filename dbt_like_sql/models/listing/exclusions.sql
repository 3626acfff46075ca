-- A decision that names no meter is about every meter of its site.
select
    meters.site_id,
    meters.meter_id,
    decisions.first_day,
    decisions.last_day,
    decisions.meter_id is null as is_of_site,
    decisions.reason,
    decisions.decided_by
from {{ ref('decisions') }} as decisions
inner join {{ ref('int_meters') }} as meters
    on meters.site_id = decisions.site_id
    and meters.meter_id = coalesce(decisions.meter_id, meters.meter_id)
where decisions.action = 'exclude'
