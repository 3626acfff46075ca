{#
  The SQL of billing, written once, in three steps that stand on each other: `period_measures`, `period_checks` and
  `billing_rows`, each a list of common table expressions, of which longer ones stand in files of their own.
  `billing_monthly` puts them together for calendar months, the table macro `billing_between` for any local dates. Before
  them the caller defines

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

{#
  Whether a day's values are settled: two equal answers after the month's end, the last after the closing delay; or
  first seen 35 days after it. `day` is a relation with what coverage tells of the day.
#}
{% macro is_confirmed(day, month_end_utc, closing_delay_us) -%}
    (
        {{ day }}.equal_after_month >= 2
        and epoch_us({{ day }}.last_fetched_at_utc) - epoch_us({{ month_end_utc }}) >= {{ closing_delay_us }}
    ) or epoch_us({{ day }}.first_fetched_at_utc) - epoch_us({{ month_end_utc }}) >= 35 * 86400000000
{%- endmacro %}

{#
  Whether what interpolated bounds and a replacement leave open of an advance is little: two steps, or five times what
  intervals and index may differ by.
#}
{% macro is_sharp(open, step, advance, tolerance) -%}
    {{ open }} <= greatest(2 * {{ step }}, abs({{ advance }}) * 5 * {{ tolerance }})
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

-- What a day's quantities may be added up with: the same unit, direction and split.
kinds_of_days as (
    select
        *,
        concat_ws(
            ' ', coalesce({{ unit_of('meter_type') }}, 'of unknown unit'), meter_mode, case when has_split then 'split' end
        ) as kind
    from counted_days
),

{{ steps_of_readings() }},

{{ gaps_of_periods() }},

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
        count(distinct kind) filter (where intervals_present > 0)::integer as kinds,
        count(distinct kind) filter (where intervals_present > 0 and is_billed)::integer as billed_kinds,
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
    from kinds_of_days
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

{{ days_that_dropped_out() }},

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

{{ flows_of_sites() }},

tolerances as (
    select
        max(tolerance) filter (where check_name = 'index_difference') as of_index,
        max(tolerance) filter (where check_name = 'site_sum') as of_site
    from {{ ref('data_quality_checks') }}
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
            + coalesce(dropped_advances.uncertainty, 0) as index_uncertainty,
        coalesce(dropped_advances.uncertainty, 0) as dropped_uncertainty,
        -- With what was counted on days that dropped out.
        case
            when opening.index_register is not null and closing.index_register is not null
                and dropped_advances.site_id is not null
                then closing.counted - opening.counted
        end::decimal(18, 6) as whole_advance,
        -- Where the register was read for the first time on the first day: what it counted from then on more than the
        -- intervals state, and more than a part of one interval can be.
        case
            when opening.site_id is null and day_one.steps.before_at_utc is null
                and day_one.index_register is not null and closing.index_register is not null
                then greatest(0, closing.counted - {{ off_bill('counted') }} - (sums.total - sums.unmeasured)
                    - sums.peak * sums.interval_minutes / 60)
        end::decimal(18, 6) as counted_before_values,
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
        coalesce(meters_of_mode = 1 and site_flows.is_whole and site_flows.is_confirmed, false) as is_site_flow,
        -- What flowed while the device was replaced, no register counted.
        coalesce(
            import_advance is not null and export_index_advance is not null and replacements_inside = 0
            and {{ is_sharp(
                'opening.import_uncertainty + closing.import_uncertainty + coalesce(dropped_advances.import_uncertainty, 0)',
                'sums.step', 'import_advance', 'tolerances.of_index'
            ) }}
            and {{ is_sharp(
                'opening.export_uncertainty + closing.export_uncertainty + coalesce(dropped_advances.export_uncertainty, 0)',
                'sums.step', 'export_index_advance', 'tolerances.of_index'
            ) }},
            false
        ) as is_register_flow,
        case kinds.meter_mode
            {% for mode, drawn, fed_in in [
                ('introduction', 'grid_import', 'grid_export'), ('battery', 'storage_charge', 'storage_discharge')
            ] -%}
            when '{{ mode }}' then
                {{ are_apart(
                    ['site_flows.' ~ drawn, 'site_flows.' ~ fed_in], ['import_advance', 'export_index_advance'],
                    'sums.step', 'tolerances.of_site'
                ) }}
            {% endfor %}
        end as are_flows_apart,
        dropped_advances.excluded_difference,
        tolerances.of_index as index_tolerance,
        settings.as_of_utc,
        settings.close_after_days,
        coalesce(settings.as_of_utc >= periods.period_end_utc, false) as is_over
    from periods
    cross join {{ ref('billing_settings') }} as settings
    cross join tolerances
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
    left join dropped_advances
        on dropped_advances.site_id = periods.site_id
        and dropped_advances.meter_id = periods.meter_id
        and dropped_advances.period_from = periods.period_from
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
    left join {{ ref('meter_index_days') }} as day_one
        on day_one.site_id = periods.site_id
        and day_one.meter_id = periods.meter_id
        and day_one.local_date = bounds.first_due_on
    left join {{ ref('meter_index_days') }} as closing
        on closing.site_id = periods.site_id
        and closing.meter_id = periods.meter_id
        and closing.local_date = bounds.last_due_on
)
{%- endmacro %}
