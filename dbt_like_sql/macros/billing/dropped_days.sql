{# What a register counted on days that dropped out of the period. #}
{% macro off_bill(register) -%}
    case when dropped_advances.site_id is null then 0 else dropped_advances.{{ register }} end
{%- endmacro %}

{# CTEs `dropped_days` and `dropped_advances`: days of a period that are not billed, and what registers counted on them. #}
{% macro days_that_dropped_out() -%}
-- Days that dropped out: those that are excluded, and those between two lives of the meter.
dropped_days as (
    select
        period_days.site_id,
        period_days.meter_id,
        period_days.period_from,
        period_days.local_date - 1 as from_end_of,
        period_days.local_date as to_end_of,
        true as is_excluded,
        period_days.total,
        period_days.unmeasured
    from period_days
    inner join sums
        on sums.site_id = period_days.site_id
        and sums.meter_id = period_days.meter_id
        and sums.period_from = period_days.period_from
        and not sums.is_excluded
    where period_days.is_excluded
    union all
    select site_id, meter_id, period_from, day_before, local_date - 1, false, null, null
    from (
        select
            site_id,
            meter_id,
            period_from,
            local_date,
            lag(local_date) over (partition by site_id, meter_id, period_from order by local_date) as day_before
        from period_days
    ) as due_days
    where local_date - day_before > 1
),

-- What the registers counted on them; null where that is not known of each of them.
dropped_advances as (
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
        case
            when count(after.counted - before.counted) filter (where dropped.is_excluded)
                = count(*) filter (where dropped.is_excluded)
                then sum(dropped.total) - sum(dropped.unmeasured)
                    - sum(after.counted - before.counted) filter (where dropped.is_excluded)
        end as excluded_difference,
        sum(coalesce(before.index_uncertainty, 0) + coalesce(after.index_uncertainty, 0)) as uncertainty,
        {% for register in ['import', 'export'] -%}
        sum(coalesce(before.{{ register }}_uncertainty, 0) + coalesce(after.{{ register }}_uncertainty, 0))
            as {{ register }}_uncertainty{{ ',' if not loop.last }}
        {% endfor %}
    from dropped_days as dropped
    left join {{ ref('meter_index_days') }} as before
        on before.site_id = dropped.site_id
        and before.meter_id = dropped.meter_id
        and before.local_date = dropped.from_end_of
    left join {{ ref('meter_index_days') }} as after
        on after.site_id = dropped.site_id
        and after.meter_id = dropped.meter_id
        and after.local_date = dropped.to_end_of
    group by dropped.site_id, dropped.meter_id, dropped.period_from
)
{%- endmacro %}
