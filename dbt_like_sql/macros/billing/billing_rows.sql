{# What flowed in which direction, as columns of a select from `measures`, and which source tells it. #}
{% macro flows() -%}
        case
            when meter_mode not in ('introduction', 'battery') or is_rule_meter then null
            when is_site_flow and is_register_flow and are_flows_apart then null
            when is_site_flow then 'site_intervals'
            when is_register_flow then 'register'
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

{# CTE `final`: the rows of billing, from `measures` and the rows of `checks`. #}
{% macro billing_rows(checks='checked') -%}
-- Checks of the site's days that failed on none but days that are excluded for a meter.
spared as (
    select
        measures.site_id,
        measures.meter_id,
        measures.period_from,
        of_site.check_name
    from measures
    inner join {{ ref('data_quality_daily') }} as of_site
        on of_site.site_id = measures.site_id
        and of_site.meter_id is null
        and of_site.local_date between measures.period_from and measures.period_until
    left join {{ ref('decisions') }} as exclusions
        on exclusions.action = 'exclude'
        and exclusions.site_id = measures.site_id
        and coalesce(exclusions.meter_id, measures.meter_id) = measures.meter_id
        and of_site.local_date between exclusions.first_day and exclusions.last_day
    where measures.days_excluded > 0
    group by measures.site_id, measures.meter_id, measures.period_from, of_site.check_name
    having bool_and(exclusions.site_id is not null)
),

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
        known_checks.position
    from measures
    inner join {{ checks }} as checked
        on checked.site_id = measures.site_id
        and checked.period_from = measures.period_from
        and (checked.meter_id = measures.meter_id or (checked.meter_id is null and measures.has_split))
    inner join {{ ref('data_quality_checks') }} as known_checks on known_checks.check_name = checked.check_name
    left join spared
        on spared.site_id = measures.site_id
        and spared.meter_id = measures.meter_id
        and spared.period_from = measures.period_from
        and spared.check_name = checked.check_name
        and checked.meter_id is null
    where not checked.passed and spared.site_id is null
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
        -- What is among the reasons is no warning as well.
        list(sentence order by position, sentence) filter (
            where severity = 'warns' and check_name <> 'estimated' and not is_accepted
        ) as warnings
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
        || case when measures.days_out_of_service > 0 then [
            'out_of_service: ' || {{ number_of('measures.days_out_of_service', 'day', 'days') }}
            || ' with values other than 0, by meters.csv'
        ] else [] end
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
        case when is_billable then case when is_billed then billed_solar else solar end end as billable_solar,
        case when is_billable then case when is_billed then billed_grid else grid end end as billable_grid,
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
            when is_site_flow and is_register_flow then 'the series of the site and the registers state different flows'
            when replacements_inside > 0 and import_advance is not null and export_index_advance is not null
                then 'the device was replaced inside the period'
            when meters_of_mode > 1
                then 'the site has several meters of this mode, and the registers were not read at both bounds'
            when is_site_whole
                then 'the series of the site is not confirmed, and the registers were not read at both bounds'
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
        period_until as period_last_day,
        case when not is_excluded then billed_total end as billed_total,
        case when not is_excluded then billed_solar end as billed_solar,
        case when not is_excluded then billed_grid end as billed_grid,
        case when not is_excluded then billed_peak_kw end as billed_peak_kw
    from billable
)
{%- endmacro %}
