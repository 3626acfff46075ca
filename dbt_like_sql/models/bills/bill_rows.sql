{{ config(materialized='by_month', month_column='period_first_day', order_by="site_id, meter_id") }}

with

graded as (
    select
        measures.*,
        grades.grade,
        service.service_reasons || grades.check_reasons as reasons,
        grades.warnings,
        grades.grade in ('ready', 'ready_with_estimates') and not measures.is_excluded as is_billable
    from {{ ref('int_period_measures') }} as measures
    inner join {{ ref('int_grades') }} as grades using (site_id, meter_id, period_from)
    inner join {{ ref('int_service_reasons') }} as service using (site_id, meter_id, period_from)
)

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
    meter_role,
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
from graded
