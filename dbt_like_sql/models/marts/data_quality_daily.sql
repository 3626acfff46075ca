{# What a check needs before it says anything. The tolerances themselves are in data_quality_checks. #}
{# Steps of the register, in a quarter of an hour: less is repeated, or a multiple of the rest, by chance. #}
{% set notable_steps = 100 %}
{# The highest quarter-hour is in kW, four times its kWh. #}
{% set notable_peak_steps = 4 * notable_steps %}
{# Days before and after a day that are of its season; and how many of these 90 must be there to tell what is usual. #}
{% set season_days = 45 %}
{% set least_season_days = 20 %}
{# kWh a day: an even solar share of coarse indices is rounded by some of this. #}
{% set notable_uneven_solar = 0.05 %}
{# Of its readings, a register that is read in every interval has at least this share on most days. #}
{% set least_readings = 0.9 %}
{# Days of its life on which a plant or a charge point has done as much: then it can. Fewer may be wrong themselves. #}
{% set days_of_proof = 3 %}

with

checks as (
    select * from {{ ref('data_quality_checks') }}
),

days as (
    select * from {{ ref('billing_days') }}
),

meter_days as (
    select * from {{ ref('meter_days') }}
),

meters as (
    select * from {{ ref('meters') }}
),

calendar as (
    select * from {{ ref('calendar_days') }}
),

index_days as (
    select * from {{ ref('meter_index_days') }}
),

splits as (
    select * from {{ ref('int_splits_daily') }}
),

nights as (
    select * from {{ ref('int_production_nights_daily') }}
),

site_days as (
    select * from {{ ref('site_days') }}
),

register_days as (
    select * from {{ ref('int_register_days') }}
),

listed_days as (
    select * from {{ ref('int_listed_meters_daily') }}
),

coverage as (
    select * from {{ ref('coverage_days') }}
),

decisions as (
    select * from {{ ref('decisions') }}
),

replacements as (
    select * from {{ ref('int_register_replacements') }}
),

index_tolerance as (
    select tolerance from checks where check_name = 'index_difference'
),

-- The step in which a meter states its values: that of its register, else the decimals that its intervals use.
meter_steps as (
    select
        meter_days.site_id,
        meter_days.meter_id,
        coalesce(max(index_days.step), pow(10, -max(meter_days.decimals)))::decimal(18, 6) as step
    from meter_days
    left join index_days
        on index_days.site_id = meter_days.site_id
        and index_days.meter_id = meter_days.meter_id
        and index_days.local_date = meter_days.local_date
    group by meter_days.site_id, meter_days.meter_id
),

site_steps as (
    select
        meters.site_id,
        count(*) as consumers,
        max(meter_steps.step) as coarsest_step
    from meters
    inner join meter_steps
        on meter_steps.site_id = meters.site_id
        and meter_steps.meter_id = meters.meter_id
    where {{ has_split('meters.meter_type', 'meters.meter_mode') }} and not meters.is_rule_meter
    group by meters.site_id
),

doubled_rows as (
    select * from {{ ref('int_doubled_rows_daily') }}
),

-- All steps between readings that touch a day; null where one of them can't be compared.
touching_steps as (
    select
        days.site_id,
        days.meter_id,
        days.local_date,
        case when index_days.steps.first_at_utc is not null then index_days.steps.apart_within else 0 end
        + case when index_days.steps.before_at_utc is not null then index_days.steps.apart_since else 0 end
        + case
            when index_days.steps.next_at_utc is not null and index_days.steps.last_at_utc < days.day_end_utc
                then index_days.steps.apart_next
            else 0
        end as apart,
        coalesce(abs(index_days.steps.counted_since), 0) + coalesce(abs(index_days.steps.counted_next), 0)
            as counted_around,
        coalesce(index_days.steps.open_at_first, 0) + coalesce(index_days.steps.open_at_last, 0)
            + coalesce(index_days.steps.open_at_next, 0) as open
    from days
    inner join index_days
        on index_days.site_id = days.site_id
        and index_days.meter_id = days.meter_id
        and index_days.local_date = days.local_date
    where index_days.steps.last_at_utc is not null
),

asked_days as (
    select
        days.* exclude (steps),
        meters.meter_name,
        calendar.quarter_hours,
        meter_days.first_nonzero_utc,
        meter_days.last_nonzero_utc,
        meter_days.split_error,
        meter_days.lowest,
        meter_days.intervals_off_grid,
        meter_days.intervals_sentinel,
        meter_days.longest_repeat,
        meter_days.repeated_total,
        meter_days.decimals,
        -- What the registers counted in the day; a load curve states it as a sum.
        coalesce(index_days.advance, index_days.load_curve_total) as advance,
        index_days.series_kind,
        index_days.is_swapped,
        index_days.rollovers,
        index_days.glitches,
        index_days.replacements,
        index_days.readings,
        index_days.usual_readings,
        meter_steps.step as meter_step,
        site_steps.consumers,
        site_steps.coarsest_step,
        splits.uneven_solar,
        splits.grid_without_import,
        register_coverage.state as register_state,
        -- What an index has to tell apart, and what it may differ by.
        greatest(2 * meter_steps.step, abs(days.total) * index_tolerance.tolerance) as slack,
        -- While it was replaced, no register measured anything, and none can confirm it.
        coalesce(abs(index_days.unmeasured) > slack, false) as is_unmeasured,
        -- Whether the register counted the day as the intervals do: then what looks odd was real. Where the day's own
        -- bounds are interpolated, the steps between readings that touch it have to tell.
        not is_unmeasured and coalesce(
            abs(coalesce(index_days.advance, index_days.load_curve_total) - (days.total - index_days.unmeasured))
            <= slack + coalesce(index_days.index_uncertainty, 0),
            false
        ) and coalesce(
            abs(touching.apart)
            <= greatest(
                2 * meter_steps.step, (abs(days.total) + touching.counted_around) * index_tolerance.tolerance
            ) + touching.open,
            coalesce(index_days.index_uncertainty, 0) = 0
        ) as is_confirmed_by_index,
        -- What the register did on the first day that it was ever read is not known, but it was read.
        is_unmeasured
            or (
                index_days.advance is null
                and index_days.load_curve_total is null
                and coalesce(index_days.readings, 0) = 0
            ) as is_unread
    from days
    cross join index_tolerance
    inner join meters
        on meters.site_id = days.site_id
        and meters.meter_id = days.meter_id
    inner join calendar
        on calendar.zone = days.zone
        and calendar.local_date = days.local_date
    inner join meter_days
        on meter_days.site_id = days.site_id
        and meter_days.meter_id = days.meter_id
        and meter_days.local_date = days.local_date
    left join index_days
        on index_days.site_id = days.site_id
        and index_days.meter_id = days.meter_id
        and index_days.local_date = days.local_date
    left join touching_steps as touching
        on touching.site_id = days.site_id
        and touching.meter_id = days.meter_id
        and touching.local_date = days.local_date
    left join meter_steps
        on meter_steps.site_id = days.site_id
        and meter_steps.meter_id = days.meter_id
    left join site_steps on site_steps.site_id = days.site_id
    left join splits
        on splits.site_id = days.site_id
        and splits.meter_id = days.meter_id
        and splits.local_date = days.local_date
    left join coverage as register_coverage
        on register_coverage.dataset = 'meter_indices'
        and register_coverage.site_id = days.site_id
        and register_coverage.subject_id = days.meter_id
        and register_coverage.local_date = days.local_date
    where days.is_asked
),

-- How long electricity was zero, over midnights: a run begins on a day with another value, or after days
-- of which nothing is known, and goes through whole days.
zero_groups as (
    select
        *,
        (epoch_us(coalesce(first_nonzero_utc, day_end_utc)) - epoch_us(day_start_utc)) // 60000000 as zero_at_start,
        (epoch_us(day_end_utc) - epoch_us(coalesce(last_nonzero_utc, day_start_utc))) // 60000000 as zero_at_end,
        count(*) filter (where first_nonzero_utc is not null or not is_next_day)
            over (partition by site_id, meter_id order by local_date rows unbounded preceding) as zero_group
    from (
        select
            *,
            lag(local_date) over (partition by site_id, meter_id order by local_date) = local_date - 1 as is_next_day
        from asked_days
        where meter_type = 'electricity' and meter_mode = 'consumption' and intervals_present > 0
    )
),

zero_lengths as (
    select
        site_id,
        meter_id,
        zero_group,
        sum(zero_at_end) as minutes_until_next,
        max(local_date) as last_zero_on
    from zero_groups
    group by site_id, meter_id, zero_group
),

zero_runs as (
    select
        zero_groups.*,
        (zero_lengths.minutes_until_next + coalesce(following.zero_at_start, 0)) / 60.0 as zero_hours
    from zero_groups
    inner join zero_lengths using (site_id, meter_id, zero_group)
    left join zero_groups as following
        on following.site_id = zero_groups.site_id
        and following.meter_id = zero_groups.meter_id
        and following.zero_group = zero_groups.zero_group + 1
        and following.first_nonzero_utc is not null
        and following.local_date = zero_lengths.last_zero_on + 1
    where zero_groups.first_nonzero_utc is null
),

-- The highest peaks of a meter's life: one more than is proof, since the day in question is among them.
best_days as (
    select
        site_id,
        meter_id,
        max(peak, {{ days_of_proof + 1 }}) as peaks
    from asked_days
    where intervals_sentinel = 0
    group by site_id, meter_id
),

-- The second highest peak and the second longest repetition among the other days of the season around a day: two wrong
-- days must not vouch for one another.
neighbours as (
    select
        *,
        list_extract(max(peak, 2) over around, 2) as high_other,
        list_extract(max(longest_repeat, 2) over around, 2) as long_other_repeat,
        count(peak) over around as other_days
    from asked_days
    where intervals_sentinel = 0
    window around as (
        partition by site_id, meter_id order by local_date
        range between interval {{ season_days }} days preceding and interval {{ season_days }} days following
        exclude current row
    )
),

-- Whether a plant rests in most nights of the season around a day, even if it is wrong for a whole month.
plant_nights as (
    select
        nights.site_id,
        nights.meter_id,
        nights.local_date,
        nights.night_total,
        coalesce(
            avg((nights.night_total <= checks.tolerance)::integer) over around > 0.5
            and count(*) over around >= {{ least_season_days }},
            false
        ) as is_usually_dark
    from nights
    inner join asked_days
        on asked_days.site_id = nights.site_id
        and asked_days.meter_id = nights.meter_id
        and asked_days.local_date = nights.local_date
    cross join checks
    where checks.check_name = 'night_production'
    window around as (
        partition by nights.site_id, nights.meter_id order by nights.local_date
        range between interval {{ season_days }} days preceding and interval {{ season_days }} days following
        exclude current row
    )
),

-- Plants under snow and charge points rest for weeks, and what they do next towers over all days around it. It is still
-- far above if it towers over the best days of their whole life, too.
peaks as (
    select
        neighbours.*,
        neighbours.peak / nullif(neighbours.high_other, 0) as times_the_others,
        case
            when neighbours.meter_mode = 'production' or neighbours.meter_type = 'charge_point' then least(
                times_the_others, neighbours.peak / nullif(best_days.peaks[{{ days_of_proof + 1 }}], 0)
            )
            else times_the_others
        end as times_the_best
    from neighbours
    inner join best_days using (site_id, meter_id)
    where
        neighbours.other_days >= {{ least_season_days }}
        and neighbours.high_other > 0
        and neighbours.peak >= {{ notable_peak_steps }} * neighbours.meter_step
),

unit_changes as (
    select
        *,
        {{ unit_change('index_before', 'index_after') }} as change,
        lead(before_at_utc) over changes as next_before_at_utc,
        lead(read_at_utc) over changes as next_read_at_utc,
        lag(read_at_utc) over changes is null as is_first
    from replacements
    where {{ unit_change('index_before', 'index_after') }} is not null
    window changes as (partition by site_id, meter_id order by before_at_utc)
),

-- What is a thousand times as much is taken for wrong: Wh shown for kWh, litres for m3. Where readings are frequent, the
-- interval after the last wrong one is right.
thousandfold as (
    select
        site_id,
        meter_id,
        index_before,
        index_after,
        case when change = 'larger' then before_at_utc else '-infinity'::timestamptz end as from_utc,
        case
            when change = 'larger' and next_read_at_utc - next_before_at_utc <= interval 1 hour then next_before_at_utc
            when change = 'larger' then coalesce(next_read_at_utc, 'infinity'::timestamptz)
            when read_at_utc - before_at_utc <= interval 1 hour then before_at_utc
            else read_at_utc
        end as until_utc
    from unit_changes
    where change = 'larger' or is_first
),

lacking as (
    select
        site_id,
        local_date,
        meter_id,
        meter_name,
        intervals_missing + intervals_null as intervals_lacking
    from asked_days
    where
        {{ is_in_split('meter_type', 'meter_mode') }}
        and not is_rule_meter
        and coverage_state in ('complete', 'gap')
        and intervals_missing + intervals_null > 0
),

lacking_siblings as (
    select
        asked_days.site_id,
        asked_days.meter_id,
        asked_days.local_date,
        max(lacking.intervals_lacking) as intervals_lacking,
        string_agg(coalesce(lacking.meter_name, lacking.meter_id), ', ' order by lacking.meter_id) as names
    from asked_days
    inner join lacking
        on lacking.site_id = asked_days.site_id
        and lacking.local_date = asked_days.local_date
        and lacking.meter_id <> asked_days.meter_id
    where asked_days.has_split and asked_days.intervals_present > 0
    group by asked_days.site_id, asked_days.meter_id, asked_days.local_date
),

type_changes as (
    select
        site_id,
        meter_id,
        local_date,
        meter_type || ' ' || meter_mode || case when is_rule_meter then ' (rule meter)' else '' end as now_listed,
        lag(now_listed) over (partition by site_id, meter_id order by local_date) as listed_before
    from listed_days
),

register_types as (
    select
        site_id,
        meter_id,
        local_date,
        string_agg(register, ', ' order by register) as found_registers
    from register_days
    semi join days using (site_id, meter_id, local_date)
    where usual_register is not null
    group by site_id, meter_id, local_date
    having not bool_or(
        register = usual_register or (usual_register in ('import', 'export') and register in ('import', 'export'))
    )
),

measured as (
    {% set unit = unit_of('meter_type') %}
    {% set repeated = quantity_of('repeated_total', unit) %}
    {% set meter_checks = {
        'pending': ["1", "coverage_state = 'pending'", "null"],
        'failed': ["1", "coverage_state = 'failed'", "null"],
        'missing_intervals': ["intervals_missing", "coverage_state in ('complete', 'gap', 'empty')", "null"],
        'null_intervals': ["intervals_null", "true", "null"],
        'too_many_intervals': ["intervals_present + intervals_null - intervals_due", "is_over", "null"],
        'change_day_counts': [
            "abs(intervals_present + intervals_null - intervals_due)",
            "quarter_hours <> 96 and is_over and intervals_present > 0", "null"
        ],
        'off_grid': ["intervals_off_grid", "true", "null"],
        'without_split': ["intervals_without_split", "has_split", "null"],
        'split_adds_up': ["split_error", "has_split", "null"],
        'grid_without_import': ["grid_without_import", "has_split", "null"],
        'equal_autonomy': [
            "case when uneven_solar > " ~ notable_uneven_solar ~ " then uneven_solar / nullif(abs(total), 0) else 0 end", "has_split", "null"
        ],
        'sentinel': ["intervals_sentinel", "true", "null"],
        'negative': [
            "-lowest / nullif(case when has_split then coalesce(coarsest_step, meter_step) * (coalesce(consumers, 0) + 1)"
            " else meter_step end, 0)",
            "lowest < 0", "null"
        ],
        'stuck': [
            "longest_repeat",
            "not is_confirmed_by_index and repeated_total is not null"
            " and (advance is not null or abs(repeated_total) >= " ~ notable_steps ~ " * meter_step)",
            repeated
        ],
        'rollover': ["rollovers", "rollovers > 0", "null"],
        'index_glitch': ["glitches", "glitches > 0", "null"],
        'estimated': [
            "greatest(0, intervals_present - readings) / nullif(intervals_present, 0)",
            "series_kind = 'index' and usual_readings >= " ~ least_readings ~ " * intervals_due and interval_minutes <= 60"
            " and register_state in ('complete', 'gap') and intervals_present > readings",
            "greatest(0, intervals_present - readings)::varchar"
        ],
    } %}
    {% for name, (measure, condition, detail) in meter_checks.items() %}
    select
        '{{ name }}' as check_name, site_id, meter_id, local_date, ({{ measure }})::double as measured,
        {{ detail }}::varchar as detail
    from asked_days
    where {{ condition }}
    union all
    {% endfor %}
    select 'swapped_registers', site_id, meter_id, local_date, 1, null from asked_days where is_swapped and total <> 0
    union all
    select
        'replaced', site_id, meter_id, local_date, len(undated),
        {{ quantity_of('undated[1].index_before', 'null') }} || ' to '
        || {{ quantity_of('undated[1].index_after', unit) }}
    from (
        select
            *,
            list_filter(
                replacements,
                lambda replaced:
                    not replaced.is_dated
                    and {{ unit_change('replaced.index_before', 'replaced.index_after') }} is null
            ) as undated
        from asked_days
    ) as replaced_days
    where len(undated) > 0
    union all
    select
        'unit_change', asked_days.site_id, asked_days.meter_id, asked_days.local_date, 1,
        min(
            {{ quantity_of('thousandfold.index_before', 'null') }} || ' to '
            || {{ quantity_of('thousandfold.index_after', 'null') }}
        )
    from asked_days
    inner join thousandfold
        on thousandfold.site_id = asked_days.site_id
        and thousandfold.meter_id = asked_days.meter_id
        and thousandfold.from_utc < asked_days.day_end_utc
        and thousandfold.until_utc > asked_days.day_start_utc
    group by asked_days.site_id, asked_days.meter_id, asked_days.local_date
    union all
    select 'zero_run', site_id, meter_id, local_date, zero_hours, null
    from zero_runs
    where not is_confirmed_by_index and (advance is not null or is_unread)
    union all
    select 'zero_run_unread', site_id, meter_id, local_date, zero_hours / 24, null
    from zero_runs
    where
        not is_rule_meter
        and (advance > 2 * meter_step or is_unread)
    union all
    select
        'spike', site_id, meter_id, local_date, times_the_others,
        {{ local_time_of('peak_at_utc', 'zone') }}
    from peaks
    where not is_confirmed_by_index and (advance is not null or is_unread)
    union all
    select
        'spike_unread', site_id, meter_id, local_date, times_the_best,
        {{ local_time_of('peak_at_utc', 'zone') }}
    from peaks
    where is_unread and not is_rule_meter
    union all
    select 'stuck_unread', site_id, meter_id, local_date, longest_repeat, {{ repeated }}
    from neighbours
    where
        is_unread
        and abs(repeated_total) >= {{ notable_steps }} * meter_step
        and (longest_repeat > 2 * coalesce(long_other_repeat, 1) or longest_repeat = intervals_present)
    union all
    select 'night_production', site_id, meter_id, local_date, night_total, null from plant_nights
    union all
    select 'night_production_unusual', site_id, meter_id, local_date, night_total, null
    from plant_nights
    where is_usually_dark
    union all
    select
        doubled_rows.check_name, doubled_rows.site_id, doubled_rows.meter_id, doubled_rows.local_date, 1,
        {{ local_time_of('doubled_rows.first_at_utc', 'asked_days.zone') }}
    from doubled_rows
    inner join asked_days using (site_id, meter_id, local_date)
    -- The register says nothing about the split.
    where
        doubled_rows.check_name <> 'conflicting_rows'
        or asked_days.has_split
        or not asked_days.is_confirmed_by_index
    union all
    select 'missing_sibling', site_id, meter_id, local_date, intervals_lacking, names from lacking_siblings
    union all
    select 'site_balance', site_id, null, local_date, balance_error, null
    from site_days
    where meter_type = 'electricity' and balance_error is not null
    union all
    select 'mode_changed', site_id, meter_id, local_date, 1, 'from ' || listed_before || ' to ' || now_listed
    from type_changes
    where now_listed <> listed_before
    union all
    select 'register_type', site_id, meter_id, local_date, 1, found_registers from register_types
),

failed as (
    select
        measured.*,
        checks.severity,
        checks.tolerance,
        checks.tolerance_unit
    from measured
    inner join checks on checks.check_name = measured.check_name
    -- An estimate is a share of the period, so each day with one counts.
    where measured.measured > case when checks.check_name = 'estimated' then 0 else checks.tolerance end
),

accepted as (
    select
        failed.check_name,
        failed.site_id,
        failed.meter_id,
        failed.local_date,
        min(decisions.decided_by) as accepted_by,
        min_by(decisions.reason, (decisions.decided_by, decisions.reason)) as accepted_why
    from failed
    inner join checks
        on checks.check_name = failed.check_name
        and checks.accepted_for <> 'never'
    inner join decisions
        on decisions.action = 'accept'
        and decisions.check_name = failed.check_name
        and decisions.site_id = failed.site_id
        and (decisions.meter_id is null or decisions.meter_id = failed.meter_id)
        and failed.local_date between decisions.first_day and decisions.last_day
    group by failed.check_name, failed.site_id, failed.meter_id, failed.local_date
),

final as (
    select
        failed.check_name,
        failed.site_id,
        failed.meter_id,
        failed.local_date,
        date_trunc('month', failed.local_date)::date as billing_month,
        failed.severity,
        least(failed.measured, 1e9)::decimal(18, 6) as measured,
        failed.tolerance,
        failed.tolerance_unit,
        failed.measured <= failed.tolerance as passed,
        failed.check_name as reason_code,
        {{ reason_of('failed.check_name', 'failed.measured', 'failed.detail') }} as reason,
        failed.detail,
        accepted.accepted_by,
        accepted.accepted_why
    from failed
    left join accepted
        on accepted.check_name = failed.check_name
        and accepted.site_id = failed.site_id
        and accepted.meter_id is not distinct from failed.meter_id
        and accepted.local_date = failed.local_date
    order by billing_month, failed.site_id, failed.meter_id, failed.local_date, failed.check_name
)

select * from final
