{#
  The SQL of billing, written once: `billing_monthly` uses it for calendar months, the table macro `billing_between` for
  any local dates. Each macro is a list of common table expressions that stand on the ones before it.

  `periods` is what is billed (site_id, meter_id, period_from, period_until, period_start_utc, period_end_utc, is_listed,
  is_there, is_listed_now, first_value_on, last_value_on), `period_days` are the rows of billing_days with the `period_from` they belong to.
  Nothing here that DuckDB 1.1 cannot read: these texts are stored in the published file.
#}

{# The order in which reasons are told: what time mends, what a person has to look at. #}
{% macro check_order() -%}
    ['not_fetched', 'running', 'too_young', 'pending', 'failed', 'starts_inside', 'ends_inside', 'replaced',
    'no_data', 'missing_intervals', 'too_many_intervals', 'change_day_counts', 'conflicting_rows',
    'conflicting_site_rows', 'null_intervals', 'without_split', 'split_adds_up', 'missing_sibling', 'unsound_sibling',
    'grid_without_import', 'site_balance', 'sentinel', 'wrong_unit', 'index_difference', 'register_type',
    'unknown_unit', 'off_grid', 'zero_run_unread', 'spike_unread', 'stuck_unread', 'night_production_unusual',
    'site_sum', 'changed_after_closing', 'not_confirmed', 'estimated']
{%- endmacro %}

{# Whether a decision keeps a day of a meter off the bill; `day` is a relation with site_id, meter_id and local_date. #}
{% macro is_excluded(day) -%}
    exists (
        select 1
        from {{ ref('decisions') }} as exclusions
        where
            exclusions.action = 'exclude'
            and exclusions.site_id = {{ day }}.site_id
            and coalesce(exclusions.meter_id, {{ day }}.meter_id) = {{ day }}.meter_id
            and {{ day }}.local_date between exclusions.first_day and exclusions.last_day
    )
{%- endmacro %}

{# What a register counted on days that dropped out of the period. #}
{% macro off_bill(register) -%}
    case when excluded_advances.site_id is null then 0 else excluded_advances.{{ register }} end
{%- endmacro %}

{# CTE `measures`: one row per period with all that is added up, counted and read. #}
{% macro period_measures() -%}
-- A day that is excluded drops out like one out of service. Where nothing else is left, the row still tells what is
-- there, and is not billed.
counted_days as (
    select *
    from period_days
    qualify not is_excluded or bool_and(is_excluded) over (partition by site_id, meter_id, period_from)
),

-- Stretches without a value go over midnights: pieces that touch are one.
gap_pieces as (
    select
        site_id, meter_id, period_from, local_date, 1 as position,
        gap_at_start_minutes as minutes,
        true as touches_before,
        intervals_present = 0 as touches_after
    from counted_days
    where longest_gap_minutes > 0 and gap_at_start_minutes > 0
    union all
    select site_id, meter_id, period_from, local_date, 2, gap_at_end_minutes, false, true
    from counted_days
    where longest_gap_minutes > 0 and gap_at_end_minutes > 0 and intervals_present > 0
),

gap_breaks as (
    select
        *,
        case
            when touches_before
                and lag(touches_after) over pieces
                and lag(local_date) over pieces = local_date - 1
                then 0
            else 1
        end as is_break
    from gap_pieces
    window pieces as (partition by site_id, meter_id, period_from order by local_date, position)
),

gap_groups as (
    select
        *,
        sum(is_break) over (
            partition by site_id, meter_id, period_from order by local_date, position rows unbounded preceding
        ) as gap_number
    from gap_breaks
),

gap_lengths as (
    select site_id, meter_id, period_from, gap_number, sum(minutes) as minutes
    from gap_groups
    group by site_id, meter_id, period_from, gap_number
),

longest_gaps as (
    select site_id, meter_id, period_from, max(minutes) as minutes
    from gap_lengths
    group by site_id, meter_id, period_from
),

sums as (
    select
        site_id,
        meter_id,
        period_from,
        sum(total)::decimal(18, 6) as total,
        sum(solar)::decimal(18, 6) as solar,
        sum(grid)::decimal(18, 6) as grid,
        max_by(interval_minutes, local_date) filter (where is_asked) as asked_interval_minutes,
        max_by(interval_minutes, local_date) as interval_minutes,
        sum(intervals_due)::integer as intervals_expected,
        sum(intervals_present)::integer as intervals_present,
        sum(intervals_missing)::integer as intervals_missing,
        sum(intervals_null)::integer as intervals_null,
        sum(intervals_negative)::integer as intervals_negative,
        sum(intervals_revised)::integer as intervals_revised,
        sum(intervals_without_split)::integer as intervals_without_split,
        count(*) as days_due,
        count(*) filter (where is_over)::integer as days_over,
        count(*) filter (where is_over and is_asked)::integer as days_asked,
        count(*) filter (where is_over and is_asked and not is_confirmed)::integer as days_unconfirmed,
        bool_or(is_excluded) as is_excluded,
        count(*) filter (where is_before_first_value and is_asked and is_over)::integer as days_before_first_value,
        count(*) filter (where is_after_last_value and is_over and (is_asked or not is_listed_now))::integer
            as days_after_last_value,
        count(*) filter (where coverage_state in ('pending', 'failed'))::integer as days_open,
        min(first_fetched_at_utc) as first_fetched_at_utc,
        max(last_fetched_at_utc) as last_fetched_at_utc,
        max(peak) as peak,
        max(longest_gap_minutes) as longest_gap_in_a_day,
        md5(string_agg(content_hash, ',' order by local_date)) as content_hash,
        sum(unmeasured)::decimal(18, 6) as unmeasured,
        sum(load_curve_total)::decimal(18, 6) as load_curve_total,
        count(load_curve_total) as days_of_load_curve,
        max(step) as step,
        max_by(billing_point, local_date) as billing_point,
        bool_or(is_billed) as is_billed,
        max(local_date) filter (where is_billed) as last_billed_on,
        count(*) filter (where not is_billed and intervals_present > 0)::integer as days_unbilled,
        sum(total) filter (where is_billed)::decimal(18, 6) as billed_total,
        sum(solar) filter (where is_billed)::decimal(18, 6) as billed_solar,
        sum(grid) filter (where is_billed)::decimal(18, 6) as billed_grid,
        bool_and(is_gone) as is_gone
    from counted_days
    group by site_id, meter_id, period_from
),

bounds as (
    select
        site_id,
        meter_id,
        period_from,
        min(local_date) as first_due_on,
        max(local_date) as last_due_on,
        count(*) filter (where is_excluded)::integer as days_excluded
    from period_days
    group by site_id, meter_id, period_from
),

-- What the registers counted on the days that dropped out; null where that is not known of each of them.
excluded_advances as (
    select
        dropped.site_id,
        dropped.meter_id,
        dropped.period_from,
        {% for register in ['counted', 'import_counted', 'export_counted'] -%}
        case
            when count(after.{{ register }} - before.{{ register }}) = count(*)
                then sum(after.{{ register }} - before.{{ register }})
        end as {{ register }},
        {% endfor -%}
        sum(dropped.total) as total,
        sum(dropped.unmeasured) as unmeasured
    from period_days as dropped
    inner join sums
        on sums.site_id = dropped.site_id
        and sums.meter_id = dropped.meter_id
        and sums.period_from = dropped.period_from
        and not sums.is_excluded
    left join {{ ref('meter_index_days') }} as before
        on before.site_id = dropped.site_id
        and before.meter_id = dropped.meter_id
        and before.local_date = dropped.local_date - 1
    left join {{ ref('meter_index_days') }} as after
        on after.site_id = dropped.site_id
        and after.meter_id = dropped.meter_id
        and after.local_date = dropped.local_date
    where dropped.is_excluded
    group by dropped.site_id, dropped.meter_id, dropped.period_from
),

-- What a meter is, is what it was listed as when it was last billed in the period, or at its end.
period_kinds as (
    select
        periods.site_id,
        periods.meter_id,
        periods.period_from,
        kinds.meter_type,
        kinds.meter_mode,
        kinds.is_rule_meter
    from periods
    left join sums
        on sums.site_id = periods.site_id
        and sums.meter_id = periods.meter_id
        and sums.period_from = periods.period_from
    inner join {{ ref('meter_kinds') }} as kinds
        on kinds.site_id = periods.site_id
        and kinds.meter_id = periods.meter_id
        and coalesce(sums.last_billed_on, periods.period_until) between kinds.first_day and kinds.last_day
),

first_peaks as (
    select
        period_days.site_id,
        period_days.meter_id,
        period_days.period_from,
        min(period_days.peak_at_utc) as peak_at_utc
    from period_days
    inner join sums
        on sums.site_id = period_days.site_id
        and sums.meter_id = period_days.meter_id
        and sums.period_from = period_days.period_from
        and sums.peak = period_days.peak
    group by period_days.site_id, period_days.meter_id, period_days.period_from
),

site_sums as (
    select
        site_id,
        period_from,
        sum(grid_import)::decimal(18, 6) as grid_import,
        sum(grid_export)::decimal(18, 6) as grid_export,
        sum(storage_charge)::decimal(18, 6) as storage_charge,
        sum(storage_discharge)::decimal(18, 6) as storage_discharge,
        sum(intervals_with_grid) as intervals_with_grid,
        sum(intervals_with_storage) as intervals_with_storage
    from site_period_days
    where meter_type = 'electricity'
    group by site_id, period_from
),

-- Those of the period: where one meter took the place of another, the series of the site is of both.
site_meters as (
    select
        periods.site_id,
        periods.period_from,
        count(*) filter (where kinds.meter_mode = 'introduction') as introductions,
        count(*) filter (where kinds.meter_mode = 'battery') as batteries
    from periods
    inner join sums
        on sums.site_id = periods.site_id
        and sums.meter_id = periods.meter_id
        and sums.period_from = periods.period_from
    inner join period_kinds as kinds
        on kinds.site_id = periods.site_id
        and kinds.meter_id = periods.meter_id
        and kinds.period_from = periods.period_from
    where
        kinds.meter_type = 'electricity'
        and not kinds.is_rule_meter
        and (periods.is_listed or sums.intervals_present > 0)
    group by periods.site_id, periods.period_from
),

measures as (
    select
        periods.*,
        sites.site_name,
        meters.meter_name,
        kinds.meter_type,
        kinds.meter_mode,
        coalesce(kinds.is_rule_meter, false) as is_rule_meter,
        {{ unit_of('kinds.meter_type') }} as unit,
        {{ has_split('kinds.meter_type', 'kinds.meter_mode') }} as has_split,
        sums.* exclude (
            site_id, meter_id, period_from, solar, grid, longest_gap_in_a_day, peak, last_billed_on, is_excluded
        ),
        -- Nothing but days that are excluded: the row tells what they hold.
        coalesce(sums.is_excluded, false) as is_excluded,
        coalesce(bounds.days_excluded, 0) as days_excluded,
        bounds.first_due_on,
        bounds.last_due_on,
        case when {{ has_split('kinds.meter_type', 'kinds.meter_mode') }} then sums.solar end as solar,
        case when {{ has_split('kinds.meter_type', 'kinds.meter_mode') }} then sums.grid end as grid,
        greatest(sums.longest_gap_in_a_day, longest_gaps.minutes)::integer as longest_gap_minutes,
        case when {{ unit_of('kinds.meter_type') }} = 'kWh' then sums.peak end as peak_kw,
        case when {{ unit_of('kinds.meter_type') }} = 'kWh' then first_peaks.peak_at_utc end as peak_at_utc,
        coalesce(
            closing.index_register,
            opening.index_register,
            {{ index_register('kinds.meter_type', 'kinds.meter_mode', 'kinds.is_rule_meter') }}
        ) as index_register,
        opening.index_at_end as index_start,
        closing.index_at_end as index_end,
        opening.index_at_utc as opening_at_utc,
        closing.index_at_utc as closing_at_utc,
        coalesce(opening.index_source, 'none') as index_start_source,
        coalesce(closing.index_source, 'none') as index_end_source,
        opening.index_distance_minutes as index_start_distance_minutes,
        closing.index_distance_minutes as index_end_distance_minutes,
        case
            when opening.index_register is not null and closing.index_register is not null
                then closing.counted - opening.counted - {{ off_bill('counted') }}
        end::decimal(18, 6) as index_advance,
        coalesce(opening.index_uncertainty, 0) + coalesce(closing.index_uncertainty, 0)
            + coalesce(closing.open_so_far - opening.open_so_far, 0) as index_uncertainty,
        coalesce(closing.replacements_so_far - opening.replacements_so_far, 0) as replacements_inside,
        case when kinds.meter_mode in ('introduction', 'production', 'battery') then opening.export_index end
            as export_index_start,
        case when kinds.meter_mode in ('introduction', 'production', 'battery') then closing.export_index end
            as export_index_end,
        case
            when kinds.meter_mode in ('introduction', 'production', 'battery')
                then closing.export_counted - opening.export_counted - {{ off_bill('export_counted') }}
        end::decimal(18, 6) as export_index_advance,
        -- Of a grid connection, whichever register it was that counted the import.
        case
            when kinds.meter_mode = 'introduction' then index_advance
            else (closing.import_counted - opening.import_counted - {{ off_bill('import_counted') }})::decimal(18, 6)
        end as import_advance,
        case
            when kinds.meter_mode = 'introduction' then site_meters.introductions
            when kinds.meter_mode = 'battery' then site_meters.batteries
        end as meters_of_mode,
        site_sums.grid_import as site_grid_import,
        site_sums.grid_export as site_grid_export,
        site_sums.storage_charge as site_storage_charge,
        site_sums.storage_discharge as site_storage_discharge,
        case kinds.meter_mode
            when 'introduction' then site_sums.intervals_with_grid
            when 'battery' then site_sums.intervals_with_storage
        end * 15 = sums.intervals_expected * sums.interval_minutes as is_site_whole,
        excluded_advances.total - excluded_advances.unmeasured - excluded_advances.counted as excluded_difference,
        settings.as_of_utc,
        settings.close_after_days,
        coalesce(settings.as_of_utc >= periods.period_end_utc, false) as is_over
    from periods
    cross join {{ ref('billing_settings') }} as settings
    left join sums
        on sums.site_id = periods.site_id
        and sums.meter_id = periods.meter_id
        and sums.period_from = periods.period_from
    left join bounds
        on bounds.site_id = periods.site_id
        and bounds.meter_id = periods.meter_id
        and bounds.period_from = periods.period_from
    left join excluded_advances
        on excluded_advances.site_id = periods.site_id
        and excluded_advances.meter_id = periods.meter_id
        and excluded_advances.period_from = periods.period_from
    left join period_kinds as kinds
        on kinds.site_id = periods.site_id
        and kinds.meter_id = periods.meter_id
        and kinds.period_from = periods.period_from
    left join longest_gaps
        on longest_gaps.site_id = periods.site_id
        and longest_gaps.meter_id = periods.meter_id
        and longest_gaps.period_from = periods.period_from
    left join first_peaks
        on first_peaks.site_id = periods.site_id
        and first_peaks.meter_id = periods.meter_id
        and first_peaks.period_from = periods.period_from
    left join site_sums
        on site_sums.site_id = periods.site_id
        and site_sums.period_from = periods.period_from
    left join site_meters
        on site_meters.site_id = periods.site_id
        and site_meters.period_from = periods.period_from
    left join {{ ref('meters') }} as meters
        on meters.site_id = periods.site_id
        and meters.meter_id = periods.meter_id
    left join {{ ref('sites') }} as sites on sites.site_id = periods.site_id
    -- The reading at midnight closes the day before it; the bounds are those of the period, whatever is excluded inside.
    left join {{ ref('meter_index_days') }} as opening
        on opening.site_id = periods.site_id
        and opening.meter_id = periods.meter_id
        and opening.local_date = bounds.first_due_on - 1
    left join {{ ref('meter_index_days') }} as closing
        on closing.site_id = periods.site_id
        and closing.meter_id = periods.meter_id
        and closing.local_date = bounds.last_due_on
)
{%- endmacro %}

{# What flowed in which direction, as columns of a select from `measures`, and which source tells it. #}
{% macro flows() -%}
        case
            when meter_mode not in ('introduction', 'battery') or is_rule_meter then null
            when meters_of_mode = 1 and is_site_whole then 'site_intervals'
            -- What flowed while the device was replaced, no register counted.
            when import_advance is not null and export_index_advance is not null and replacements_inside = 0
                then 'register'
        end as flow_source,
        case
            when meter_mode <> 'introduction' then null
            when flow_source = 'site_intervals' then site_grid_import
            when flow_source = 'register' then import_advance
        end as grid_import,
        case
            when meter_mode <> 'introduction' then null
            when flow_source = 'site_intervals' then site_grid_export
            when flow_source = 'register' then export_index_advance
        end as grid_export,
        case
            when meter_mode <> 'battery' then null
            when flow_source = 'site_intervals' then site_storage_charge
            when flow_source = 'register' then import_advance
        end as storage_charge,
        case
            when meter_mode <> 'battery' then null
            when flow_source = 'site_intervals' then site_storage_discharge
            when flow_source = 'register' then export_index_advance
        end as storage_discharge
{%- endmacro %}

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
            min_by(decisions.reason, decisions.decided_by) as accepted_why
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
        case when days_of_load_curve = days_over and days_over > 0 then total - load_curve_total end
            as load_curve_difference
    from measures
),

-- What the index says of the sum: the share that two steps do not explain. A load curve is compared by its own sum.
reconciled as (
    select
        *,
        case
            when not is_over or intervals_present = 0 then null
            when difference is not null then case
                when abs(difference) <= difference_allowed then 0
                else least(abs(difference) / greatest(abs(index_advance), 0.000001), 1000000)
            end
            when load_curve_difference is not null then case
                when abs(load_curve_difference) <= 0.001 then 0
                else least(abs(load_curve_difference) / greatest(abs(load_curve_total), 0.000001), 1000000)
            end
        end as index_error,
        -- An interpolated bound confirms nothing when it leaves more open than the tolerance.
        coalesce(index_uncertainty <= greatest(2 * step, abs(index_advance) * 0.005), true) as is_index_sharp,
        case when index_advance > 100 * step and total > 0 then total / index_advance end as unit_ratio
    from compared
),

period_measured as (
    select
        site_id, meter_id, period_from, period_until, period_start_utc, period_end_utc, is_over, days_over,
        days_not_asked, days_asked, days_open, days_too_young, close_after_days, total, index_advance, index_error,
        is_index_sharp, days_unconfirmed, first_value_on, last_value_on,
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
            {'check_name': 'index_difference', 'measured': index_error::double},
            {
                'check_name': 'wrong_unit',
                'measured': case
                    when unit_ratio between 990 and 1010 or unit_ratio between 0.00099 and 0.00101 then 1 else 0
                end::double
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
        period_measured.measurement.measured <= coalesce(checks.tolerance, 0) as passed,
        case checks.check_name
            when 'not_fetched' then days_not_asked || ' of ' || days_over || ' days were never asked for'
            when 'running' then 'the period had not ended at the last call'
            when 'too_young' then
                'the last call was less than ' || close_after_days || ' days after the end of the period'
            when 'starts_inside' then
                'the first value is of ' || first_value_on || '; date the meter in meters.csv (in_service_from)'
            when 'ends_inside' then
                'the last value is of ' || last_value_on || '; date the meter in meters.csv (in_service_until)'
            when 'no_data' then 'no interval of the period has a value'
            when 'unknown_unit' then 'the type of the meter is not known, so its quantity has no unit'
            when 'index_difference' then
                'the intervals add up to ' || total || ', the register counted '
                || coalesce(index_advance::varchar, 'another amount')
            when 'wrong_unit' then
                'the intervals add up to ' || total || ', the register counted ' || index_advance
                || ': a factor of 1000, so one is in another unit'
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
        max_by(detail, (measured, -epoch_us(local_date::timestamp))) as detail,
        bool_and(accepted_by is not null) as is_accepted,
        min(accepted_by) as accepted_by,
        min_by(accepted_why, accepted_by) as accepted_why
    from counted_failures
    where check_name <> 'estimated'
    group by check_name, site_id, meter_id, period_from
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
        {{ reason_of('check_name', 'measured', 'days', 'detail', 'tolerance') }}
        || case when days > 1 then ', on ' || days || ' days' else '' end as reason,
        case when is_accepted then accepted_by end as accepted_by,
        case when is_accepted then accepted_why end as accepted_why
    from failures_of_days
    union all
    select
        checks.check_name, estimated.site_id, estimated.meter_id, estimated.period_from, checks.severity,
        estimated.share::decimal(18, 6), checks.tolerance, checks.tolerance_unit,
        estimated.share <= checks.tolerance,
        {{ reason_of('checks.check_name', 'estimated.share', '1', 'null', 'checks.tolerance') }},
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
        'the site states ' || site_measured.stated || ' kWh, its meters add up to ' || site_measured.found as reason
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
            when reconciled.index_error <= (
                select tolerance from {{ ref('data_quality_checks') }} where check_name = 'index_difference'
            ) and reconciled.is_index_sharp then 0
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

-- What is wrong on days that are excluded is wrong in what the provider works out of it all the same.
unsettled as (
    select check_name, site_id, meter_id, period_from
    from own_rows
    where not passed and accepted_by is null
    union all
    select check_name, site_id, meter_id, period_from
    from excluded_failures
    where accepted_by is null
    union all
    select 'index_difference', site_id, meter_id, period_from
    from reconciled
    where abs(excluded_difference) > greatest(difference_allowed, abs(index_advance) * 0.001)
),

-- Meters whose values can't be relied upon, unless somebody accepted them. A meter that has yet to begin spoils nothing.
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
        and measures.first_value_on <= measures.period_until
    -- Before its first value and after its last a meter may not have been there: it waits to be dated.
    where
        unsettled.check_name <> 'missing_intervals'
        or coalesce(measures.days_before_first_value, 0) + coalesce(measures.days_after_last_value, 0) = 0
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

{# CTE `final`: the rows of billing, from `measures` and the rows of `checked`. #}
{% macro billing_rows() -%}
-- A failure of the site as a whole is one of every meter whose energy is split there.
failures as (
    select
        measures.site_id,
        measures.meter_id,
        measures.period_from,
        checked.check_name,
        checked.severity,
        checked.is_accepted,
        checked.reason_code || ': ' || checked.reason as sentence,
        list_position({{ check_order() }}, checked.check_name) as position
    from measures
    inner join checked
        on checked.site_id = measures.site_id
        and checked.period_from = measures.period_from
        and (checked.meter_id = measures.meter_id or (checked.meter_id is null and measures.has_split))
    where not checked.passed
),

verdicts as (
    select
        site_id,
        meter_id,
        period_from,
        bool_or(severity = 'waits' and not is_accepted and check_name <> 'not_confirmed') as has_to_wait,
        bool_or(severity = 'blocks' and not is_accepted) as is_blocked,
        bool_or(check_name = 'not_confirmed' and not is_accepted) as is_unconfirmed,
        bool_or(check_name = 'estimated') as is_estimated,
        list(sentence order by position, sentence) filter (
            where (severity <> 'warns' and check_name <> 'not_confirmed') or check_name = 'estimated' or is_accepted
        ) as reasons,
        list(sentence order by position, sentence) filter (where check_name = 'not_confirmed' and not is_accepted)
            as confirmation,
        list(sentence order by sentence) filter (where severity = 'warns') as warnings
    from failures
    group by site_id, meter_id, period_from
),

graded as (
    select
        measures.*,
        case
            when verdicts.has_to_wait then 'provisional'
            when verdicts.is_blocked then 'blocked'
            when verdicts.is_unconfirmed then 'provisional'
            when verdicts.is_estimated then 'ready_with_estimates'
            else 'ready'
        end as grade,
        case when measures.days_excluded > 0 then ['excluded: ' || case
            when measures.is_excluded then ''
            else measures.days_excluded || ' of ' || measures.days_excluded + measures.days_due || ' days, '
        end || coalesce((
            select min(decisions.reason || ' (' || decisions.decided_by || ')')
            from {{ ref('decisions') }} as decisions
            where
                decisions.action = 'exclude'
                and decisions.site_id = measures.site_id
                and (decisions.meter_id is null or decisions.meter_id = measures.meter_id)
                and decisions.first_day <= measures.period_until
                and decisions.last_day >= measures.period_from
        ), 'by decision')] else [] end
        || case when measures.days_due is null then ['not_in_service: no day of the period, by meters.csv'] else [] end
        || case when measures.is_billed and measures.days_unbilled > 0 then [
            'not_billed: ' || {{ number_of('measures.days_unbilled', 'day', 'days') }}
            || ' with values, by meters.csv or for what the meter was listed as then'
        ] else [] end
        || coalesce(verdicts.reasons, [])
        || case
            when not verdicts.has_to_wait and not verdicts.is_blocked then coalesce(verdicts.confirmation, []) else []
        end as reasons,
        coalesce(verdicts.warnings, []) as warnings
    from measures
    left join verdicts
        on verdicts.site_id = measures.site_id
        and verdicts.meter_id = measures.meter_id
        and verdicts.period_from = measures.period_from
),

billable as (
    select
        *,
        grade in ('ready', 'ready_with_estimates') and not is_excluded as is_billable,
        {{ flows() }}
    from graded
),

final as (
    select
        site_id,
        site_name,
        meter_id,
        meter_name,
        meter_type,
        meter_mode,
        is_rule_meter,
        unit,
        date_trunc('month', period_from)::date as billing_month,
        period_start_utc,
        period_end_utc,
        total,
        solar,
        grid,
        -- Of a meter that is not billed at all, what could be.
        case when is_billable then case when is_billed then billed_total else total end end as billable_total,
        case when is_billable and has_split then case when is_billed then billed_solar else solar end end
            as billable_solar,
        case when is_billable and has_split then case when is_billed then billed_grid else grid end end as billable_grid,
        index_register,
        index_start,
        index_end,
        index_advance,
        (total - index_advance)::decimal(18, 6) as index_difference,
        coalesce(asked_interval_minutes, interval_minutes) as interval_minutes,
        coalesce(intervals_expected, 0) as intervals_expected,
        coalesce(intervals_present, 0) as intervals_present,
        coalesce(intervals_missing, 0) as intervals_missing,
        coalesce(intervals_null, 0) as intervals_null,
        coalesce(intervals_negative, 0) as intervals_negative,
        coalesce(intervals_revised, 0) as intervals_revised,
        coalesce(intervals_without_split, 0) as intervals_without_split,
        case when intervals_expected > 0 then least(1.0, intervals_present / intervals_expected)::double end
            as completeness,
        grade,
        reasons,
        first_fetched_at_utc,
        last_fetched_at_utc,
        coalesce(days_over, 0) as days_over,
        coalesce(days_asked, 0) as days_asked,
        is_listed,
        {{ meter_role('meter_mode', 'is_rule_meter') }} as meter_role,
        warnings,
        case when index_start is not null then opening_at_utc end as index_start_at_utc,
        case when index_end is not null then closing_at_utc end as index_end_at_utc,
        index_start_source,
        index_end_source,
        index_start_distance_minutes,
        index_end_distance_minutes,
        export_index_start,
        export_index_end,
        export_index_advance,
        grid_import,
        grid_export,
        storage_charge,
        storage_discharge,
        flow_source,
        case
            when flow_source is not null then null
            when meter_mode not in ('introduction', 'battery') then 'the meter measures one direction'
            when is_rule_meter then 'a rule meter has no register'
            when replacements_inside > 0 and import_advance is not null and export_index_advance is not null
                then 'the device was replaced inside the period'
            when meters_of_mode > 1
                then 'the site has several meters of this mode, and the registers were not read at both bounds'
            else 'the series of the site is not whole, and the registers were not read at both bounds'
        end as flow_reason,
        peak_kw,
        peak_at_utc,
        coalesce(longest_gap_minutes, 0) as longest_gap_minutes,
        content_hash,
        coalesce(billing_point, meter_id) as billing_point,
        coalesce(is_billed, false) as is_billed,
        days_excluded,
        is_excluded,
        unmeasured as index_unmeasured,
        period_from as period_first_day,
        period_until as period_last_day
    from billable
)
{%- endmacro %}
