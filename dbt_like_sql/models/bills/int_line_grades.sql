{{ config(materialized='by_month') }}

-- A line is graded by what failed on its own days, and by what is judged of the period as a whole.
with

failed_days as (
    select site_id, meter_id, period_from, check_name, local_date
    from {{ ref('int_counted_failures') }}
    where not is_off_bill
),

failures as (
    select
        lines.billing_point,
        lines.occupant,
        lines.line_from,
        failed.*,
        count(failed_days.local_date) as days,
        count(failed_days.local_date) filter (
            where failed_days.local_date between lines.line_from and lines.line_until
        ) as days_of_line
    from {{ ref('int_line_parts') }} as lines
    inner join {{ ref('int_graded_failures') }} as failed using (site_id, meter_id, period_from)
    left join failed_days
        on failed_days.site_id = failed.site_id
        and failed_days.meter_id is not distinct from failed.failed_meter_id
        and failed_days.period_from = failed.period_from
        and failed_days.check_name = failed.check_name
    group by all
)

select
    site_id,
    meter_id,
    period_from,
    line_from,
    {{ grade_of() }} as grade,
    {{ reasons_of() }} as check_reasons,
    {{ warnings_of() }} as warnings
from failures
where days = 0 or days_of_line > 0
group by site_id, meter_id, period_from, line_from
