{{ config(order_by="site_id, meter_id") }}

select
    periods.*,
    sites.site_name,
    meters.meter_name,
    kinds.meter_type,
    kinds.meter_mode,
    coalesce(kinds.is_rule_meter, false) as is_rule_meter,
    kinds.unit,
    kinds.carrier,
    coalesce(kinds.meter_role, 'unknown') as meter_role,
    kinds.mode_source,
    coalesce(kinds.has_split, false) as has_split,
    coalesce(kinds.is_in_split, false) as is_in_split,
    sums.* exclude (
        site_id, meter_id, period_from, solar, grid, longest_gap_in_a_day, peak, last_billed_on, is_excluded,
        billed_solar, billed_grid
    ),
    -- Nothing but days that are excluded: the row tells what they hold.
    coalesce(sums.is_excluded, false) as is_excluded,
    bounds.days_excluded,
    bounds.days_out_of_service,
    bounds.first_due_on,
    bounds.last_due_on,
    case when kinds.has_split then sums.solar end as solar,
    case when kinds.has_split then sums.billed_solar end as billed_solar,
    case when kinds.has_split then sums.grid end as grid,
    case when kinds.has_split then sums.billed_grid end as billed_grid,
    greatest(sums.longest_gap_in_a_day, gaps.longest_gap_minutes)::integer as longest_gap_minutes,
    case when kinds.unit = 'kWh' then peaks.peak end as peak_kw,
    case when kinds.unit = 'kWh' then peaks.billed_peak end as billed_peak_kw,
    case when kinds.unit = 'kWh' then peaks.peak_at_utc end as peak_at_utc,
    case when kinds.unit = 'kWh' then peaks.lone_peak end as lone_peak_kw,
    case when kinds.unit = 'kWh' then peaks.lone_peak_at_utc end as lone_peak_at_utc,
    indices.* exclude (site_id, meter_id, period_from, open_at_cuts, import_uncertainty, export_uncertainty),
    readings.apart_inside,
    2 * sums.step + indices.open_at_cuts + readings.open_inside + readings.open_at_first + readings.open_at_last
        as apart_inside_allowed,
    case
        when bounds.days_excluded > 0 then null
        else coalesce(readings.apart_inside, 0)
            + case when readings.is_read_before then coalesce(readings.apart_before, 0) else 0 end
            + case when readings.is_read_after then coalesce(readings.apart_after, 0) else 0 end
    end as apart_around,
    apart_inside_allowed + readings.open_at_next as apart_around_allowed,
    case when readings.is_read_before then abs(coalesce(readings.counted_before, 0)) else 0 end
        + case when readings.is_read_after then abs(coalesce(readings.counted_after, 0)) else 0 end
        as counted_around,
    flows.* exclude (site_id, meter_id, period_from),
    checks.tolerance as index_tolerance,
    settings.as_of_utc,
    settings.close_after_days,
    coalesce(settings.as_of_utc >= periods.period_end_utc, false) as is_over
from {{ ref('int_periods') }} as periods
cross join {{ ref('billing_settings') }} as settings
inner join {{ ref('data_quality_checks') }} as checks on checks.check_name = 'index_difference'
left join {{ ref('int_period_sums') }} as sums using (site_id, meter_id, period_from)
left join {{ ref('int_period_bounds') }} as bounds using (site_id, meter_id, period_from)
left join {{ ref('int_period_kinds') }} as kinds using (site_id, meter_id, period_from)
left join {{ ref('int_period_gaps') }} as gaps using (site_id, meter_id, period_from)
left join {{ ref('int_period_peaks') }} as peaks using (site_id, meter_id, period_from)
left join {{ ref('int_period_indices') }} as indices using (site_id, meter_id, period_from)
left join {{ ref('int_period_readings') }} as readings using (site_id, meter_id, period_from)
left join {{ ref('int_period_flows') }} as flows using (site_id, meter_id, period_from)
left join {{ ref('meters') }} as meters using (site_id, meter_id)
left join {{ ref('sites') }} as sites using (site_id)
