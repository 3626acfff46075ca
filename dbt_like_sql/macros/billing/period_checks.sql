{# The rows of checks on whole periods, with who accepted a failure, and why. A decision has to name the whole period. #}
{% macro with_decisions(rows) -%}
    select
        {{ rows }}.* exclude (period_until),
        decided.accepted_by,
        decided.accepted_why
    from {{ rows }}
    left join (
        select
            judged.check_name,
            judged.site_id,
            judged.meter_id,
            judged.period_from,
            min(decisions.decided_by) as accepted_by,
            min_by(decisions.reason, (decisions.decided_by, decisions.reason)) as accepted_why
        from {{ rows }} as judged
        inner join {{ ref('decisions') }} as decisions
            on decisions.action = 'accept'
            and decisions.check_name = judged.check_name
            and decisions.site_id = judged.site_id
            and (decisions.meter_id is null or decisions.meter_id = judged.meter_id)
            and decisions.first_day <= judged.period_from
            and decisions.last_day >= judged.period_until
        group by judged.check_name, judged.site_id, judged.meter_id, judged.period_from
    ) as decided
        on decided.check_name = {{ rows }}.check_name
        and decided.site_id = {{ rows }}.site_id
        and decided.meter_id is not distinct from {{ rows }}.meter_id
        and decided.period_from = {{ rows }}.period_from
{%- endmacro %}

{# By how much the intervals differ from what the register counted, in words. #}
{% macro more_than_counted(apart) -%}
    {{ quantity_of('abs(' ~ apart ~ ')', 'unit') }}
    || case when {{ apart }} > 0 then ' more' else ' less' end || ' than the register counted'
{%- endmacro %}

{#
  CTE `checked`: one row per period and check that applies, from `measures`, `period_failures` (rows of data_quality_daily
  with their `period_from`) and `decisions`. A check passes when what it measures is within its tolerance.
#}
{% macro period_checks() -%}
compared as (
    select
        *,
        greatest(0, days_over - days_asked) as days_not_asked,
        -- Of this meter itself: that others were asked later says nothing about its late data. One that is gone cannot
        -- be asked again.
        case
            when is_over and last_fetched_at_utc is not null then greatest(
                0,
                close_after_days - (
                    epoch_us(case when is_gone then as_of_utc else last_fetched_at_utc end) - epoch_us(period_end_utc)
                ) / 86400000000.0
            )
        end as days_too_young,
        case when index_advance is not null then total - unmeasured - index_advance end as difference,
        -- Two steps, one at each bound, and what an interpolated bound leaves open.
        2 * step + index_uncertainty as difference_allowed,
        -- However little is known of the days that dropped out, the others can't hold more than was counted on all.
        greatest(0, total - unmeasured - whole_advance - (2 * step + index_uncertainty - dropped_uncertainty))
            as beyond_whole,
        case when days_of_load_curve = days_over and days_over > 0 then total - load_curve_total end
            as load_curve_difference
    from measures
),

-- What the index says of the sum: the share that two steps do not explain. A load curve is compared by its own sum. What
-- bounds leave open when they are interpolated, the readings in between and around may still tell.
reconciled as (
    select
        *,
        case
            when not is_over or intervals_present = 0 then null
            when difference is not null or beyond_whole > 0 then greatest(
                case
                    when difference is null then null
                    when abs(difference) <= difference_allowed then 0
                    else least(abs(difference) / greatest(abs(index_advance), 0.000001), 1000000)
                end,
                case
                    when beyond_whole > 0 then least(beyond_whole / greatest(abs(whole_advance), 0.000001), 1000000)
                end
            )
            when load_curve_difference is not null then case
                when abs(load_curve_difference) <= 0.001 then 0
                else least(abs(load_curve_difference) / greatest(abs(load_curve_total), 0.000001), 1000000)
            end
        end as bounds_error,
        case
            when not is_over or intervals_present = 0 then null
            else greatest(
                case
                    when apart_inside is null or apart_inside_allowed is null then null
                    when abs(apart_inside) <= apart_inside_allowed then 0
                    else least(abs(apart_inside) / greatest(abs(total), 0.000001), 1000000)
                end,
                case
                    when apart_around is null or apart_around_allowed is null then null
                    when abs(apart_around) <= apart_around_allowed then 0
                    else least(abs(apart_around) / greatest(abs(total) + counted_around, 0.000001), 1000000)
                end,
                case
                    when counted_before_values > difference_allowed
                        then least(counted_before_values / greatest(abs(total), 0.000001), 1000000)
                end
            )
        end as readings_error,
        greatest(bounds_error, readings_error) as index_error,
        -- An interpolated bound, or a time that no register measured, confirms nothing when it leaves much open.
        coalesce(
            {{ is_sharp('index_uncertainty + abs(coalesce(unmeasured, 0))', 'step', 'index_advance', 'index_tolerance') }},
            true
        ) as is_index_sharp,
        case when index_advance > 100 * step and total > 0 then total / index_advance end as unit_ratio,
        -- What goes on the bill of a meter that is billed on some days is of those days alone.
        case when is_billed then billed_kinds else kinds end as added_kinds
    from compared
),

period_measured as (
    select
        site_id, meter_id, period_from, period_until, period_start_utc, period_end_utc, is_over, days_over,
        days_not_asked, days_asked, days_open, days_too_young, close_after_days, total, index_advance, whole_advance,
        index_error, bounds_error, counted_before_values, difference_allowed, apart_inside, apart_inside_allowed,
        apart_around, is_index_sharp, unmeasured, days_unconfirmed, first_value_on, last_value_on, unit,
        unnest([
            {'check_name': 'not_fetched', 'measured': days_not_asked::double},
            {'check_name': 'running', 'measured': case when not is_over then 1 else 0 end::double},
            {'check_name': 'too_young', 'measured': days_too_young::double},
            {
                'check_name': 'starts_inside',
                'measured': case when first_value_on >= period_from then days_before_first_value end::double
            },
            {
                'check_name': 'ends_inside',
                'measured': case
                    when last_value_on between period_from and period_until
                        and (
                            not is_listed_now
                            or epoch_us(as_of_utc) / 86400000000 - (last_value_on - date '1970-01-01') > 8
                        )
                        then days_after_last_value
                end::double
            },
            {
                'check_name': 'no_data',
                'measured': case when days_asked > 0 then case when intervals_present = 0 then 1 else 0 end end::double
            },
            {
                'check_name': 'unknown_unit',
                'measured': case when intervals_present > 0 then case when unit is null then 1 else 0 end end::double
            },
            {'check_name': 'kind_changed', 'measured': case when added_kinds > 1 then added_kinds - 1 end::double},
            {'check_name': 'index_difference', 'measured': index_error::double},
            {
                'check_name': 'unmeasured',
                'measured': case
                    when is_over and index_advance is not null
                        then least(abs(coalesce(unmeasured, 0)) / greatest(abs(total), 0.000001), 1000000)
                end::double
            },
            {
                'check_name': 'wrong_unit',
                'measured': least(abs(unit_ratio / 1000 - 1), abs(unit_ratio * 1000 - 1), 1000000)::double
            }
        ]) as measurement
    from reconciled
),

period_rows as (
    select
        checks.check_name,
        period_measured.site_id,
        period_measured.meter_id,
        period_measured.period_from,
        period_measured.period_until,
        checks.severity,
        period_measured.measurement.measured::decimal(18, 6) as measured,
        checks.tolerance,
        checks.tolerance_unit,
        -- A unit is wrong when the ratio is near a thousand; all else passes near to what it should be.
        case checks.check_name
            when 'wrong_unit' then period_measured.measurement.measured > checks.tolerance
            else period_measured.measurement.measured <= coalesce(checks.tolerance, 0)
        end as passed,
        case checks.check_name
            when 'not_fetched' then
                days_not_asked || ' of ' || days_over || ' days ' || case when days_not_asked = 1 then 'was' else 'were' end
                || ' never asked for'
            when 'running' then 'the period had not ended at the last call'
            when 'too_young' then
                'the last call was less than ' || {{ number_of('close_after_days', 'day', 'days') }}
                || ' after the end of the period'
            when 'starts_inside' then
                'the first value is of ' || first_value_on || '; date the meter in meters.csv (in_service_from)'
            when 'ends_inside' then
                'the last value is of ' || last_value_on || '; date the meter in meters.csv (in_service_until)'
            when 'no_data' then 'no interval of the period has a value'
            when 'unknown_unit' then 'the type of the meter is not known, so its quantity has no unit'
            when 'kind_changed' then
                'what the meter counts changed inside the period (unit, direction or split), so its days do not add up;'
                || ' see billing_between'
            when 'unmeasured' then
                'of ' || {{ quantity_of('total', 'unit') }} || ' the intervals state ' || {{ quantity_of('unmeasured', 'unit') }}
                || ' for a time in which no register counted, around a replacement'
            when 'index_difference' then case
                when bounds_error > checks.tolerance then
                    'the intervals add up to ' || {{ quantity_of('total', 'unit') }} || ', the register counted '
                    || coalesce({{ quantity_of('coalesce(index_advance, whole_advance)', 'unit') }}, 'another amount')
                when counted_before_values > difference_allowed then
                    'from its first reading on, the register counted ' || {{ quantity_of('counted_before_values', 'unit') }}
                    || ' more than the intervals state'
                when abs(apart_inside) > apart_inside_allowed then
                    'between readings inside the period, the intervals state ' || {{ more_than_counted('apart_inside') }}
                else
                    'from the reading before the period to the one after it, the intervals state '
                    || {{ more_than_counted('apart_around') }}
            end
            when 'wrong_unit' then
                'the intervals add up to ' || {{ quantity_of('total', 'unit') }} || ', the register counted '
                || {{ quantity_of('index_advance', 'unit') }} || ': a factor of 1000, so one is in another unit'
        end as reason
    from period_measured
    inner join {{ ref('data_quality_checks') }} as checks
        on checks.check_name = period_measured.measurement.check_name
    where period_measured.measurement.measured is not null
),

-- What days show that are excluded has no part in the grade of the others.
excluded_failures as (
    select period_failures.*
    from period_failures
    inner join measures
        on measures.site_id = period_failures.site_id
        and measures.meter_id = period_failures.meter_id
        and measures.period_from = period_failures.period_from
        and measures.days_excluded > 0
        and not measures.is_excluded
    where {{ is_excluded('period_failures') }}
),

counted_failures as (
    select *
    from period_failures
    anti join excluded_failures using (check_name, site_id, meter_id, local_date, period_from)
    -- What is wrong with the site as a whole has no part in it on days that are excluded for all of it.
    where period_failures.meter_id is not null or not exists (
        select 1
        from {{ ref('decisions') }} as exclusions
        where
            exclusions.action = 'exclude'
            and exclusions.meter_id is null
            and exclusions.site_id = period_failures.site_id
            and period_failures.local_date between exclusions.first_day and exclusions.last_day
    )
),

failures_of_days as (
    select
        check_name,
        site_id,
        meter_id,
        period_from,
        any_value(severity) as severity,
        case
            when any_value(tolerance_unit) in ('intervals', 'cuts', 'readings', 'days')
                and check_name not in ('stuck', 'stuck_unread', 'zero_run_unread')
                then sum(measured)
            else max(measured)
        end::decimal(18, 6) as measured,
        any_value(tolerance) as tolerance,
        any_value(tolerance_unit) as tolerance_unit,
        count(*) as days,
        min(local_date) as first_failed_on,
        max(local_date) as last_failed_on,
        max_by(detail, (measured, -epoch_us(local_date::timestamp))) as detail,
        bool_and(accepted_by is not null) as is_accepted,
        min(accepted_by) as accepted_by,
        min_by(accepted_why, (accepted_by, accepted_why)) as accepted_why
    from counted_failures
    where check_name <> 'estimated'
    group by check_name, site_id, meter_id, period_from
),

-- A detail that begins with the day has said it.
dated_failures as (
    select
        *,
        case
            when days > 1
                then ', on ' || days || ' days from ' || first_failed_on || ' to ' || last_failed_on
            when starts_with(detail, first_failed_on::varchar) then ''
            else ', on ' || first_failed_on
        end as on_days
    from failures_of_days
),

estimated as (
    select
        sums.site_id,
        sums.meter_id,
        sums.period_from,
        sum(failures.detail::integer) / max(sums.intervals_present)::double as share
    from counted_failures as failures
    inner join measures as sums
        on sums.site_id = failures.site_id
        and sums.meter_id = failures.meter_id
        and sums.period_from = failures.period_from
    where failures.check_name = 'estimated'
    group by sums.site_id, sums.meter_id, sums.period_from
),

day_rows as (
    select
        check_name, site_id, meter_id, period_from, severity, measured, tolerance, tolerance_unit, false as passed,
        {{ reason_of('check_name', 'measured', 'detail', 'on_days') }} as reason,
        case when is_accepted then accepted_by end as accepted_by,
        case when is_accepted then accepted_why end as accepted_why
    from dated_failures
    union all
    select
        checks.check_name, estimated.site_id, estimated.meter_id, estimated.period_from, checks.severity,
        estimated.share::decimal(18, 6), checks.tolerance, checks.tolerance_unit,
        estimated.share <= checks.tolerance,
        {{ reason_of('checks.check_name', 'estimated.share', 'null') }},
        null, null
    from estimated
    inner join {{ ref('data_quality_checks') }} as checks on checks.check_name = 'estimated'
),

-- What only the site as a whole can show, complete periods alone.
consumer_sums as (
    select
        measures.site_id,
        measures.period_from,
        sum(measures.total) filter (where measures.meter_type = 'electricity') as electricity,
        sum(measures.total) as all_consumption,
        max(measures.step) as step,
        count(*) as meters,
        bool_and(
            measures.intervals_missing + measures.intervals_null = 0
            and (measures.days_excluded = 0 or measures.is_excluded)
        ) as is_whole
    from measures
    where measures.has_split and not measures.is_rule_meter
    group by measures.site_id, measures.period_from
),

production_sums as (
    select
        site_id,
        period_from,
        sum(index_advance) as production,
        max(step) as step,
        bool_and(index_advance is not null and (days_excluded = 0 or is_excluded)) as is_whole
    from measures
    where meter_type = 'electricity' and meter_mode = 'production' and not is_rule_meter
    group by site_id, period_from
),

site_series as (
    select
        site_id,
        period_from,
        sum(consumption)::decimal(18, 6) as consumption,
        sum(production)::decimal(18, 6) as production,
        bool_and(coalesce(intervals_present = intervals_expected, false)) as is_whole,
        count(*) as days
    from site_period_days
    where meter_type = 'electricity'
    group by site_id, period_from
),

site_periods as (
    select
        site_id,
        period_from,
        period_until,
        max(days_over) as days_over,
        bool_and(is_over) as is_over
    from measures
    group by site_id, period_from, period_until
),

site_measured as (
    select
        site_series.site_id,
        site_series.period_from,
        site_periods.period_until,
        'site_sum' as check_name,
        least(
            abs(site_series.consumption - consumer_sums.electricity),
            abs(site_series.consumption - consumer_sums.all_consumption)
        ) as difference,
        site_series.consumption as stated,
        consumer_sums.all_consumption as found,
        2 * coalesce(consumer_sums.step, 0.001) * consumer_sums.meters as allowed
    from site_series
    inner join site_periods
        on site_periods.site_id = site_series.site_id
        and site_periods.period_from = site_series.period_from
        and site_periods.is_over
        and site_periods.days_over = site_series.days
    inner join consumer_sums
        on consumer_sums.site_id = site_series.site_id
        and consumer_sums.period_from = site_series.period_from
    where site_series.is_whole and consumer_sums.is_whole
    union all
    select
        site_series.site_id,
        site_series.period_from,
        site_periods.period_until,
        'production_index',
        abs(site_series.production - production_sums.production),
        site_series.production,
        production_sums.production,
        2 * coalesce(greatest(production_sums.step, consumer_sums.step), 0.001) * (coalesce(consumer_sums.meters, 0) + 2)
    from site_series
    inner join site_periods
        on site_periods.site_id = site_series.site_id
        and site_periods.period_from = site_series.period_from
        and site_periods.is_over
        and site_periods.days_over = site_series.days
    inner join production_sums
        on production_sums.site_id = site_series.site_id
        and production_sums.period_from = site_series.period_from
    left join consumer_sums
        on consumer_sums.site_id = site_series.site_id
        and consumer_sums.period_from = site_series.period_from
    where site_series.is_whole and production_sums.is_whole
),

site_rows as (
    select
        checks.check_name,
        site_measured.site_id,
        null::varchar as meter_id,
        site_measured.period_from,
        site_measured.period_until,
        checks.severity,
        case
            when site_measured.difference <= site_measured.allowed then 0
            else least(site_measured.difference / greatest(abs(site_measured.stated), 0.000001), 1000000)
        end::decimal(18, 6) as measured,
        checks.tolerance,
        checks.tolerance_unit,
        site_measured.difference <= greatest(site_measured.allowed, abs(site_measured.stated) * checks.tolerance)
            as passed,
        'the site states ' || {{ quantity_of('site_measured.stated', "'kWh'") }} || ', its meters add up to '
        || {{ quantity_of('site_measured.found', "'kWh'") }} as reason
    from site_measured
    inner join {{ ref('data_quality_checks') }} as checks on checks.check_name = site_measured.check_name
),

unconfirmed as (
    select
        checks.check_name,
        reconciled.site_id,
        reconciled.meter_id,
        reconciled.period_from,
        reconciled.period_until,
        checks.severity,
        case
            when
                reconciled.bounds_error <= index_checks.tolerance
                and reconciled.index_error <= index_checks.tolerance
                and reconciled.is_index_sharp
                then 0
            else reconciled.days_unconfirmed
        end::decimal(18, 6) as measured,
        checks.tolerance,
        checks.tolerance_unit,
        {{ number_of('reconciled.days_unconfirmed', 'day was', 'days were') }}
        || ' not confirmed by a second equal answer after the month; run climkit backfill '
        || reconciled.period_from || ' ' || reconciled.period_until || ' --site ' || reconciled.site_id
        || ' --dataset meter_intervals --refetch' as reason
    from reconciled
    inner join {{ ref('data_quality_checks') }} as checks on checks.check_name = 'not_confirmed'
    inner join {{ ref('data_quality_checks') }} as index_checks on index_checks.check_name = 'index_difference'
    where
        reconciled.is_over
        and reconciled.days_not_asked = 0
        and reconciled.days_open = 0
        and reconciled.days_too_young = 0
        and reconciled.days_over > 0
),

confirmations as (
    select
        check_name, site_id, meter_id, period_from, period_until, severity, measured, tolerance, tolerance_unit,
        measured <= tolerance as passed, reason
    from unconfirmed
),

own_rows as (
    {{ with_decisions('period_rows') }}
    union all
    {{ with_decisions('site_rows') }}
    union all
    select * from day_rows
    union all
    {{ with_decisions('confirmations') }}
),

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
),

all_rows as (
    select * from own_rows
    union all
    {{ with_decisions('spoilt_rows') }}
),

-- What nobody can accept stays as it is, whatever was decided.
decided_rows as (
    select
        all_rows.* exclude (accepted_by, accepted_why),
        case when checks.accepted_for <> 'never' then all_rows.accepted_by end as accepted_by,
        case when checks.accepted_for <> 'never' then all_rows.accepted_why end as accepted_why
    from all_rows
    inner join {{ ref('data_quality_checks') }} as checks on checks.check_name = all_rows.check_name
),

-- The sentence that goes to the clerk; an accepted failure names who accepted it, and why.
checked as (
    select
        check_name,
        site_id,
        meter_id,
        period_from,
        severity,
        measured,
        tolerance,
        tolerance_unit,
        passed,
        check_name as reason_code,
        case when not passed then
            reason || case
                when accepted_by is not null then ' (accepted by ' || accepted_by || ': ' || accepted_why || ')' else ''
            end
        end as reason,
        not passed and accepted_by is not null as is_accepted,
        accepted_by,
        accepted_why
    from decided_rows
)
{%- endmacro %}
