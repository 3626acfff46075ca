{{ config(materialized='view') }}

-- Whether what the registers counted confirms what the intervals add up to, and whether that adds up at all.
with

measured as (
    select
        measures.*,
        sites.zone,
        errors.difference_allowed,
        errors.bounds_error,
        errors.index_error,
        {{ quantity_of('measures.total', 'measures.unit') }} as stated,
        case when measures.index_advance > 100 * measures.step and measures.total > 0
            then measures.total / measures.index_advance end as unit_ratio
    from {{ ref('int_period_measures') }} as measures
    inner join {{ ref('int_period_index_errors') }} as errors using (site_id, meter_id, period_from)
    left join {{ ref('sites') }} as sites using (site_id)
)

select
    'unknown_unit' as check_name, site_id, meter_id, period_from,
    case when unit is null then 1 else 0 end::double as measured, null::boolean as has_passed, null as detail
from measured
where intervals_present > 0
union all
select
    'unknown_role', site_id, meter_id, period_from, case when meter_role = 'unknown' then 1 else 0 end, null,
    site_id || ',' || meter_id || ',consumption'
from measured
union all
select
    'role_from_split', site_id, meter_id, period_from, case when mode_source = 'split' then 1 else 0 end, null,
    site_id || ',' || meter_id || ',consumption'
from measured
union all
select
    'lone_peak', site_id, meter_id, period_from, lone_peak_kw - peak_kw, null,
    {{ quantity_of('lone_peak_kw', "'kW'") }} || ' at ' || {{ local_time_of('lone_peak_at_utc', 'zone') }} || '; the next is '
    || {{ quantity_of('peak_kw', "'kW'") }} || ' at ' || {{ local_time_of('peak_at_utc', 'zone') }}
from measured
where lone_peak_kw is not null
union all
-- What goes on the bill of a meter that is billed on some days is of those days alone.
select
    'kind_changed', site_id, meter_id, period_from, case when is_billed then billed_kinds else kinds end - 1, null, null
from measured
where case when is_billed then billed_kinds else kinds end > 1
union all
select
    'unmeasured', site_id, meter_id, period_from,
    least(abs(coalesce(unmeasured, 0)) / greatest(abs(total), 0.000001), 1000000), null,
    stated || ' the intervals state ' || {{ quantity_of('unmeasured', 'unit') }}
from measured
where is_over and index_advance is not null
union all
-- A unit is wrong when the ratio is near a thousand; all else passes near to what it should be.
select
    'wrong_unit', measured.site_id, measured.meter_id, measured.period_from,
    least(abs(measured.unit_ratio / 1000 - 1), abs(measured.unit_ratio * 1000 - 1), 1000000)::double as share_apart,
    share_apart > checks.tolerance,
    measured.stated || ', the register counted ' || {{ quantity_of('measured.index_advance', 'measured.unit') }}
from measured
inner join {{ ref('data_quality_checks') }} as checks on checks.check_name = 'wrong_unit'
union all
select
    'index_difference', site_id, meter_id, period_from, index_error, null,
    case
        when bounds_error > index_tolerance then
            'the intervals add up to ' || stated || ', the register counted '
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
from measured
