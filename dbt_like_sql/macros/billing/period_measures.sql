{#
  The SQL of billing, written once, in three steps that stand on each other: `period_measures`, `period_checks` and
  `billing_rows`, each a list of common table expressions. `billing_monthly` puts them together for calendar months, the
  table macro `billing_between` for any local dates. Before them the caller defines

  - `periods`, what is billed: site_id, meter_id, period_from, period_until, period_start_utc, period_end_utc, is_listed,
    is_there, is_listed_now, first_value_on, last_value_on;
  - `period_days`, the rows of billing_days with the `period_from` they belong to, and `site_period_days`, those of
    site_days.

  These texts are stored in the published file, in DuckDB's old format: nothing here that 1.1 cannot read.
#}

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

-- Days that follow each other: over days that dropped out, no step between readings is compared.
stretches as (
    select
        * exclude (is_first),
        sum(is_first) over (
            partition by site_id, meter_id, period_from order by local_date rows unbounded preceding
        ) as stretch
    from (
        select
            *,
            case
                when lag(local_date) over (partition by site_id, meter_id, period_from order by local_date)
                    = local_date - 1
                    then 0
                else 1
            end as is_first
        from counted_days
    ) as days
),

steps_of_days as (
    select
        *,
        min(day_start_utc) over (partition by site_id, meter_id, period_from, stretch) as stretch_start_utc,
        max(day_end_utc) over (partition by site_id, meter_id, period_from, stretch) as stretch_end_utc
    from stretches
),

-- What the readings say, wherever in the period they are: from its first to its last, and from the last before it to the
-- first after it.
outermost as (
    select
        site_id,
        meter_id,
        period_from,
        sum(coalesce(steps.apart_within, 0)) + coalesce(
            sum(steps.apart_since) filter (where steps.before_at_utc >= stretch_start_utc), 0
        ) as apart_inside,
        coalesce(sum(steps.open_at_first + steps.open_at_last) filter (
            where steps.apart_within is null or (steps.apart_since is null and steps.before_at_utc is not null)
        ), 0) as open_inside,
        min_by({'steps': steps, 'stretch_start_utc': stretch_start_utc}, local_date)
            filter (where steps.first_at_utc is not null) as first_read,
        max_by({'steps': steps, 'stretch_end_utc': stretch_end_utc}, local_date)
            filter (where steps.last_at_utc is not null) as last_read
    from steps_of_days
    where steps.last_at_utc is not null
    group by site_id, meter_id, period_from
),

read_steps as (
    select
        site_id,
        meter_id,
        period_from,
        case when first_read is not null then apart_inside end as apart_inside,
        open_inside,
        coalesce(first_read.steps.open_at_first, 0) as open_at_first,
        coalesce(last_read.steps.open_at_last, 0) as open_at_last,
        coalesce(last_read.steps.open_at_next, 0) as open_at_next,
        first_read.steps.before_at_utc < first_read.stretch_start_utc as is_read_before,
        last_read.steps.last_at_utc < last_read.stretch_end_utc as is_read_after,
        first_read.steps.apart_since as apart_before,
        first_read.steps.counted_since as counted_before,
        last_read.steps.apart_next as apart_after,
        last_read.steps.counted_next as counted_after
    from outermost
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
        max(peak) filter (where is_billed) as billed_peak,
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

dated_meters as (
    select
        site_id,
        meter_id
    from {{ ref('meter_services') }}
    where in_service_from is not null or in_service_until is not null
),

-- What a meter delivers on days on which meters.csv says that it was not there is on no bill, and somebody should know:
-- the line may be wrong. Of a meter that was taken out, the provider may go on stating zeros.
days_out_of_service as (
    select
        periods.site_id,
        periods.meter_id,
        periods.period_from,
        count(*) as days
    from {{ ref('meter_days') }} as days
    semi join dated_meters
        on dated_meters.site_id = days.site_id
        and dated_meters.meter_id = days.meter_id
    inner join periods
        on periods.site_id = days.site_id
        and periods.meter_id = days.meter_id
        and days.local_date between periods.period_from and periods.period_until
    left join {{ ref('meter_services') }} as services
        on services.site_id = days.site_id
        and services.meter_id = days.meter_id
        and days.local_date between services.first_day and services.last_day
    where services.meter_id is null and days.total <> 0
    group by periods.site_id, periods.meter_id, periods.period_from
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
        sum(dropped.unmeasured) as unmeasured,
        sum(coalesce(before.index_uncertainty, 0) + coalesce(after.index_uncertainty, 0)) as uncertainty
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
        counted_days.site_id,
        counted_days.meter_id,
        counted_days.period_from,
        min(counted_days.peak_at_utc) as peak_at_utc
    from counted_days
    inner join sums
        on sums.site_id = counted_days.site_id
        and sums.meter_id = counted_days.meter_id
        and sums.period_from = counted_days.period_from
        and sums.peak = counted_days.peak
    group by counted_days.site_id, counted_days.meter_id, counted_days.period_from
),

-- What the site states on the days that count for its grid connection or battery. Each of them has to be whole: a day
-- too many and a day too few have the right number of intervals together.
site_flows as (
    select
        days.site_id,
        days.meter_id,
        days.period_from,
        sum(of_site.grid_import)::decimal(18, 6) as grid_import,
        sum(of_site.grid_export)::decimal(18, 6) as grid_export,
        sum(of_site.storage_charge)::decimal(18, 6) as storage_charge,
        sum(of_site.storage_discharge)::decimal(18, 6) as storage_discharge,
        bool_and(
            case kinds.meter_mode
                when 'introduction' then coalesce(of_site.intervals_with_grid, 0)
                when 'battery' then coalesce(of_site.intervals_with_storage, 0)
            end * 15 = days.intervals_due * days.interval_minutes
        ) as is_whole
    from counted_days as days
    inner join period_kinds as kinds
        on kinds.site_id = days.site_id
        and kinds.meter_id = days.meter_id
        and kinds.period_from = days.period_from
        and kinds.meter_type = 'electricity'
        and kinds.meter_mode in ('introduction', 'battery')
    left join site_period_days as of_site
        on of_site.site_id = days.site_id
        and of_site.local_date = days.local_date
        and of_site.period_from = days.period_from
        and of_site.meter_type = 'electricity'
    group by days.site_id, days.meter_id, days.period_from
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
            site_id, meter_id, period_from, solar, grid, longest_gap_in_a_day, peak, last_billed_on, is_excluded,
            billed_solar, billed_grid, billed_peak
        ),
        -- Nothing but days that are excluded: the row tells what they hold.
        coalesce(sums.is_excluded, false) as is_excluded,
        coalesce(bounds.days_excluded, 0) as days_excluded,
        coalesce(days_out_of_service.days, 0) as days_out_of_service,
        bounds.first_due_on,
        bounds.last_due_on,
        case when {{ has_split('kinds.meter_type', 'kinds.meter_mode') }} then sums.solar end as solar,
        case when {{ has_split('kinds.meter_type', 'kinds.meter_mode') }} then sums.billed_solar end as billed_solar,
        case when {{ has_split('kinds.meter_type', 'kinds.meter_mode') }} then sums.grid end as grid,
        case when {{ has_split('kinds.meter_type', 'kinds.meter_mode') }} then sums.billed_grid end as billed_grid,
        greatest(sums.longest_gap_in_a_day, longest_gaps.minutes)::integer as longest_gap_minutes,
        case when {{ unit_of('kinds.meter_type') }} = 'kWh' then sums.peak end as peak_kw,
        case when {{ unit_of('kinds.meter_type') }} = 'kWh' then sums.billed_peak end as billed_peak_kw,
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
            + coalesce(closing.open_so_far - opening.open_so_far, 0)
            + coalesce(excluded_advances.uncertainty, 0) as index_uncertainty,
        read_steps.apart_inside,
        2 * sums.step + coalesce(closing.open_so_far - opening.open_so_far, 0)
            + read_steps.open_inside + read_steps.open_at_first + read_steps.open_at_last as apart_inside_allowed,
        case
            when bounds.days_excluded > 0 then null
            else coalesce(read_steps.apart_inside, 0)
                + case when read_steps.is_read_before then coalesce(read_steps.apart_before, 0) else 0 end
                + case when read_steps.is_read_after then coalesce(read_steps.apart_after, 0) else 0 end
        end as apart_around,
        apart_inside_allowed + read_steps.open_at_next as apart_around_allowed,
        case when read_steps.is_read_before then abs(coalesce(read_steps.counted_before, 0)) else 0 end
            + case when read_steps.is_read_after then abs(coalesce(read_steps.counted_after, 0)) else 0 end
            as counted_around,
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
        site_flows.grid_import as site_grid_import,
        site_flows.grid_export as site_grid_export,
        site_flows.storage_charge as site_storage_charge,
        site_flows.storage_discharge as site_storage_discharge,
        site_flows.is_whole as is_site_whole,
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
    left join days_out_of_service
        on days_out_of_service.site_id = periods.site_id
        and days_out_of_service.meter_id = periods.meter_id
        and days_out_of_service.period_from = periods.period_from
    left join excluded_advances
        on excluded_advances.site_id = periods.site_id
        and excluded_advances.meter_id = periods.meter_id
        and excluded_advances.period_from = periods.period_from
    left join read_steps
        on read_steps.site_id = periods.site_id
        and read_steps.meter_id = periods.meter_id
        and read_steps.period_from = periods.period_from
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
    left join site_flows
        on site_flows.site_id = periods.site_id
        and site_flows.meter_id = periods.meter_id
        and site_flows.period_from = periods.period_from
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
