{# CTEs down to `spoilt_rows`: what the provider works out of meters whose values are in doubt. #}
{% macro checks_of_siblings() -%}
-- Days that lack values, but for those before a meter's first value and after its last on which it may not have been
-- there: it waits to be dated.
holes as (
    select distinct
        period_failures.check_name,
        period_failures.site_id,
        period_failures.meter_id,
        period_failures.period_from
    from period_failures
    inner join measures
        on measures.site_id = period_failures.site_id
        and measures.meter_id = period_failures.meter_id
        and measures.period_from = period_failures.period_from
    where
        period_failures.check_name = 'missing_intervals'
        and period_failures.accepted_by is null
        and (
            period_failures.local_date >= measures.first_value_on
            or coalesce(measures.days_before_first_value, 0) = 0
        )
        and (
            period_failures.local_date <= measures.last_value_on
            or coalesce(measures.days_after_last_value, 0) = 0
        )
),

-- What is wrong on days that are excluded is wrong in what the provider works out of it all the same.
unsettled as (
    select check_name, site_id, meter_id, period_from
    from own_rows
    where not passed and accepted_by is null and check_name <> 'missing_intervals'
    union all
    select check_name, site_id, meter_id, period_from
    from excluded_failures
    where accepted_by is null and check_name <> 'missing_intervals'
    union all
    select check_name, site_id, meter_id, period_from
    from holes
    union all
    select 'index_difference', site_id, meter_id, period_from
    from reconciled
    where abs(excluded_difference) > greatest(difference_allowed, abs(index_advance) * index_tolerance)
),

-- Meters whose values can't be relied upon, unless somebody accepted them. A meter that has yet to begin, or is gone,
-- spoils nothing; one that was listed in the period and silent does, even if it left the list later.
unsound as (
    select
        measures.site_id,
        measures.meter_id,
        measures.period_from,
        any_value({{ carrier_of('measures.meter_type') }}) as carrier,
        any_value(coalesce(measures.meter_name, measures.meter_id)) as meter_name,
        bool_or(
            checks.spreads_to = 'split and rule meters'
            and {{ is_in_split('measures.meter_type', 'measures.meter_mode') }}
        ) as spoils_split
    from unsettled
    inner join {{ ref('data_quality_checks') }} as checks
        on checks.check_name = unsettled.check_name
        and checks.spreads_to <> 'nothing'
    inner join measures
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
),

-- What the provider works out of them: the split of the site's consumers, and rule meters.
spoilt as (
    select
        measures.site_id,
        measures.meter_id,
        measures.period_from,
        measures.period_until,
        count(*) as meters,
        string_agg(unsound.meter_name, ', ' order by unsound.meter_name) as names
    from measures
    inner join unsound
        on unsound.site_id = measures.site_id
        and unsound.period_from = measures.period_from
        and unsound.meter_id <> measures.meter_id
        and (
            (measures.has_split and unsound.spoils_split)
            or (measures.is_rule_meter and unsound.carrier = {{ carrier_of('measures.meter_type') }})
        )
    where measures.intervals_present > 0
    group by measures.site_id, measures.meter_id, measures.period_from, measures.period_until
),

spoilt_rows as (
    select
        checks.check_name,
        spoilt.site_id,
        spoilt.meter_id,
        spoilt.period_from,
        spoilt.period_until,
        checks.severity,
        spoilt.meters::decimal(18, 6) as measured,
        checks.tolerance,
        checks.tolerance_unit,
        spoilt.meters <= checks.tolerance as passed,
        'worked out of meters whose values are in doubt (' || spoilt.names || '): mend or accept those first' as reason
    from spoilt
    inner join {{ ref('data_quality_checks') }} as checks on checks.check_name = 'unsound_sibling'
)
{%- endmacro %}
