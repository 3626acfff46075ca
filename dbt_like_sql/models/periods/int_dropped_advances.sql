-- What the registers counted on days that dropped out of a period; null where that is not known of each of them.
with

days_in_order as (
    select
        site_id,
        meter_id,
        period_from,
        local_date,
        lag(local_date) over (partition by site_id, meter_id, period_from order by local_date) as day_before
    from {{ ref('int_period_days') }}
),

-- Those that are excluded, and those between two lives of the meter.
dropped_days as (
    select
        days.site_id,
        days.meter_id,
        days.period_from,
        days.local_date - 1 as from_end_of,
        days.local_date as to_end_of,
        true as is_excluded,
        days.total,
        days.unmeasured
    from {{ ref('int_period_days') }} as days
    inner join {{ ref('int_period_sums') }} as sums
        on sums.site_id = days.site_id
        and sums.meter_id = days.meter_id
        and sums.period_from = days.period_from
        and not sums.is_excluded
    where days.is_excluded
    union all
    select site_id, meter_id, period_from, day_before, local_date - 1, false, null, null
    from days_in_order
    where local_date - day_before > 1
),

differences as (
    select
        dropped.*,
        after.counted - before.counted as counted,
        after.import_counted - before.import_counted as import_counted,
        after.export_counted - before.export_counted as export_counted,
        coalesce(before.index_uncertainty, 0) + coalesce(after.index_uncertainty, 0) as uncertainty,
        coalesce(before.import_uncertainty, 0) + coalesce(after.import_uncertainty, 0) as import_uncertainty,
        coalesce(before.export_uncertainty, 0) + coalesce(after.export_uncertainty, 0) as export_uncertainty
    from dropped_days as dropped
    left join {{ ref('meter_index_days') }} as before
        on before.site_id = dropped.site_id
        and before.meter_id = dropped.meter_id
        and before.local_date = dropped.from_end_of
    left join {{ ref('meter_index_days') }} as after
        on after.site_id = dropped.site_id
        and after.meter_id = dropped.meter_id
        and after.local_date = dropped.to_end_of
)

select
    site_id,
    meter_id,
    period_from,
    case when count(counted) = count(*) then sum(counted) end as counted,
    case when count(import_counted) = count(*) then sum(import_counted) end as import_counted,
    case when count(export_counted) = count(*) then sum(export_counted) end as export_counted,
    case
        when count(counted) filter (where is_excluded) = count(*) filter (where is_excluded)
            then sum(total) - sum(unmeasured) - sum(counted) filter (where is_excluded)
    end as excluded_difference,
    sum(uncertainty) as uncertainty,
    sum(import_uncertainty) as import_uncertainty,
    sum(export_uncertainty) as export_uncertainty
from differences
group by site_id, meter_id, period_from
