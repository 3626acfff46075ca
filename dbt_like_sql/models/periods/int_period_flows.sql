-- What flowed in both directions through a grid connection or a battery: as the site states it, and as its registers
-- counted it.
with

-- Where one meter took the place of another, the series of the site is of both.
site_meters as (
    select
        periods.site_id,
        periods.period_from,
        count(*) filter (where kinds.meter_mode = 'introduction') as introductions,
        count(*) filter (where kinds.meter_mode = 'battery') as batteries
    from {{ ref('int_periods') }} as periods
    inner join {{ ref('int_period_sums') }} as sums using (site_id, meter_id, period_from)
    inner join {{ ref('int_period_kinds') }} as kinds using (site_id, meter_id, period_from)
    where
        kinds.meter_type = 'electricity'
        and not kinds.is_rule_meter
        and (periods.is_listed or sums.intervals_present > 0)
    group by periods.site_id, periods.period_from
),

tolerances as (
    select
        max(tolerance) filter (where check_name = 'index_difference') as index_tolerance,
        max(tolerance) filter (where check_name = 'site_sum') as site_tolerance
    from {{ ref('data_quality_checks') }}
),

flows_of_meters as (
    select
        indices.site_id,
        indices.meter_id,
        indices.period_from,
        kinds.meter_mode,
        kinds.is_rule_meter,
        indices.import_advance,
        indices.export_index_advance,
        case kinds.meter_mode
            when 'introduction' then site_meters.introductions
            when 'battery' then site_meters.batteries
        end as meters_of_mode,
        flows.site_grid_import,
        flows.site_grid_export,
        flows.site_storage_charge,
        flows.site_storage_discharge,
        flows.is_site_whole,
        coalesce(meters_of_mode = 1 and flows.is_site_whole and flows.is_confirmed, false) as is_site_flow,
        -- What flowed while the device was replaced, no register counted.
        coalesce(
            indices.import_advance is not null and indices.export_index_advance is not null
            and indices.replacements_inside = 0
            and {{ is_sharp('import_uncertainty', 'sums.step', 'import_advance', 'index_tolerance') }}
            and {{ is_sharp('export_uncertainty', 'sums.step', 'export_index_advance', 'index_tolerance') }},
            false
        ) as is_register_flow,
        case kinds.meter_mode
            when 'introduction' then {{ are_flows_apart('flows.site_grid_import', 'flows.site_grid_export') }}
            when 'battery' then {{ are_flows_apart('flows.site_storage_charge', 'flows.site_storage_discharge') }}
        end as are_flows_apart
    from {{ ref('int_period_indices') }} as indices
    cross join tolerances
    left join {{ ref('int_period_sums') }} as sums using (site_id, meter_id, period_from)
    left join {{ ref('int_period_kinds') }} as kinds using (site_id, meter_id, period_from)
    left join {{ ref('int_site_flows') }} as flows using (site_id, meter_id, period_from)
    left join site_meters using (site_id, period_from)
),

sourced as (
    select
        *,
        case
            when meter_mode not in ('introduction', 'battery') or is_rule_meter then null
            when is_site_flow and is_register_flow and are_flows_apart then null
            when is_site_flow then 'site_intervals'
            when is_register_flow then 'register'
        end as flow_source
    from flows_of_meters
)

select
    * exclude (meter_mode, is_rule_meter, import_advance, export_index_advance),
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
from sourced
