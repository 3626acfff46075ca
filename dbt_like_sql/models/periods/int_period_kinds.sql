-- What a meter is, is what it was listed as when it was last billed in the period, or at its end.
select
    periods.site_id,
    periods.meter_id,
    periods.period_from,
    kinds.meter_type,
    kinds.meter_mode,
    coalesce(kinds.is_rule_meter, false) as is_rule_meter,
    kinds.unit,
    kinds.carrier,
    kinds.meter_role,
    kinds.mode_source,
    kinds.has_split,
    kinds.is_in_split,
    kinds.usual_register
from {{ ref('int_periods') }} as periods
left join {{ ref('int_period_sums') }} as sums
    on sums.site_id = periods.site_id
    and sums.meter_id = periods.meter_id
    and sums.period_from = periods.period_from
inner join {{ ref('meter_kinds') }} as kinds
    on kinds.site_id = periods.site_id
    and kinds.meter_id = periods.meter_id
    and coalesce(sums.last_billed_on, periods.period_until) between kinds.first_day and kinds.last_day
