{{ config(materialized='by_month', month_column='period_first_day', order_by="site_id, billing_point, period_first_day") }}

-- The reading at midnight closes the day before it, so one line's closing index is the next one's opening index.
with

graded as (
    select
        lines.*,
        coalesce(grades.grade, 'ready') as grade,
        service.service_reasons || coalesce(grades.check_reasons, []) as reasons,
        coalesce(grades.warnings, []) as warnings,
        coalesce(grades.grade, 'ready') in ('ready', 'ready_with_estimates') as is_ready
    from {{ ref('int_line_parts') }} as lines
    inner join {{ ref('int_service_reasons') }} as service using (site_id, meter_id, period_from)
    left join {{ ref('int_line_grades') }} as grades using (site_id, meter_id, period_from, line_from)
)

select
    lines.site_id,
    bills.site_name,
    lines.billing_point,
    lines.occupant,
    lines.is_vacant,
    lines.meter_id,
    bills.meter_name,
    bills.meter_type,
    bills.meter_role,
    bills.unit,
    date_trunc('month', lines.period_from)::date as billing_month,
    lines.period_from as period_first_day,
    lines.line_from,
    lines.line_until,
    lines.days_billed,
    lines.total,
    lines.solar,
    lines.grid,
    case when lines.is_ready and not bills.is_excluded then lines.total end as billable_total,
    case when lines.is_ready and not bills.is_excluded then lines.solar end as billable_solar,
    case when lines.is_ready and not bills.is_excluded then lines.grid end as billable_grid,
    opening.index_at_end as index_start,
    closing.index_at_end as index_end,
    case when opening.index_at_end is not null then opening.index_at_utc end as index_start_at_utc,
    case when closing.index_at_end is not null then closing.index_at_utc end as index_end_at_utc,
    lines.intervals_expected,
    lines.intervals_present,
    lines.grade,
    lines.reasons,
    lines.warnings,
    lines.content_hash
from graded as lines
inner join {{ ref('bill_rows') }} as bills
    on bills.site_id = lines.site_id
    and bills.meter_id = lines.meter_id
    and bills.period_first_day = lines.period_from
left join {{ ref('meter_index_days') }} as opening
    on opening.site_id = lines.site_id
    and opening.meter_id = lines.meter_id
    and opening.local_date = lines.line_from - 1
left join {{ ref('meter_index_days') }} as closing
    on closing.site_id = lines.site_id
    and closing.meter_id = lines.meter_id
    and closing.local_date = lines.line_until
