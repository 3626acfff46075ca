-- meters.csv cuts where it says, whatever the readings do, unless a register shows a replacement around the date.
select distinct
    facts.site_id,
    facts.meter_id,
    facts.replaced_at_utc
from {{ ref('meter_facts') }} as facts
left join {{ ref('int_register_shown_cuts') }} as cuts
    on cuts.site_id = facts.site_id
    and cuts.meter_id = facts.meter_id
    and cuts.cut <> 'rollover'
    and {{ is_near('facts.replaced_at_utc', 'cuts.before_at_utc', 'cuts.read_at_utc') }}
where facts.replaced_at_utc is not null and cuts.site_id is null
order by facts.site_id, facts.meter_id, facts.replaced_at_utc
