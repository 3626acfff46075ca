{{ config(materialized='view') }}

-- Meters whose values can't be relied upon, unless somebody accepted them.
with

-- Days that lack values, but for those before a meter's first value and after its last on which it may not have been
-- there: it waits to be dated.
holes as (
    select
        failures.check_name,
        measures.site_id,
        measures.meter_id,
        measures.period_from
    from {{ ref('int_period_failures') }} as failures
    inner join {{ ref('int_period_measures') }} as measures
        on measures.site_id = failures.site_id
        and measures.meter_id = failures.meter_id
        and measures.period_from = failures.period_from
    where
        failures.check_name = 'missing_intervals'
        and failures.accepted_by is null
        and (failures.local_date >= measures.first_value_on or coalesce(measures.days_before_first_value, 0) = 0)
        and (failures.local_date <= measures.last_value_on or coalesce(measures.days_after_last_value, 0) = 0)
),

-- What is wrong on days that are excluded is wrong in what the provider works out of it all the same. Two checks are
-- named: of missing_intervals only holes count; and what index_difference would say of excluded days no row says, since
-- it judges whole periods.
unsettled as (
    select check_name, site_id, meter_id, period_from
    from {{ ref('int_period_own_checks') }}
    where not passed and accepted_by is null and check_name <> 'missing_intervals'
    union all
    select check_name, site_id, meter_id, period_from
    from {{ ref('int_counted_failures') }}
    where is_off_bill and accepted_by is null and check_name <> 'missing_intervals'
    union all
    select check_name, site_id, meter_id, period_from
    from holes
    union all
    select 'index_difference', measures.site_id, measures.meter_id, measures.period_from
    from {{ ref('int_period_measures') }} as measures
    inner join {{ ref('int_period_index_errors') }} as errors using (site_id, meter_id, period_from)
    where
        abs(measures.excluded_difference)
        > greatest(errors.difference_allowed, abs(measures.index_advance) * measures.index_tolerance)
)

-- A meter that has yet to begin, or is gone, spoils nothing; one that was listed in the period and silent does, even if
-- it left the list later.
select
    measures.site_id,
    measures.meter_id,
    measures.period_from,
    any_value(measures.carrier) as carrier,
    any_value(coalesce(measures.meter_name, measures.meter_id)) as meter_name,
    bool_or(checks.spreads_to = 'split and rule meters' and measures.is_in_split) as spoils_split
from unsettled
inner join {{ ref('data_quality_checks') }} as checks
    on checks.check_name = unsettled.check_name
    and checks.spreads_to <> 'nothing'
inner join {{ ref('int_period_measures') }} as measures
    on measures.site_id = unsettled.site_id
    and measures.meter_id = unsettled.meter_id
    and measures.period_from = unsettled.period_from
    and not measures.is_rule_meter
    -- A grid connection that is listed and never delivered anything: the split was made without it.
    and coalesce(measures.first_value_on <= measures.period_until, measures.meter_mode = 'introduction')
left join {{ ref('meters') }} as meters
    on meters.site_id = measures.site_id
    and meters.meter_id = measures.meter_id
where
    measures.is_listed_now
    or measures.last_value_on >= measures.period_from
    or meters.last_seen_on >= measures.period_from
group by measures.site_id, measures.meter_id, measures.period_from
