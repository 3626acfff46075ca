{# By how much the intervals differ from what the register counted, in words. #}
{% macro more_than_counted(apart) -%}
    {{ quantity_of('abs(' ~ apart ~ ')', 'unit') }}
    || case when {{ apart }} > 0 then ' more' else ' less' end || ' than the register counted'
{%- endmacro %}

{# CTEs down to `period_rows`: what the period of a meter shows by itself, its index above all. #}
{% macro checks_of_periods() -%}
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
)
{%- endmacro %}
