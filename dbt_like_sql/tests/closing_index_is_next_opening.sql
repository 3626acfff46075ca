-- A month's closing index is the next month's opening index: the same instant and reading, whatever column it stood in.
select
    closing.site_id,
    closing.meter_id,
    closing.billing_month
from {{ ref('billing_monthly') }} as closing
inner join {{ ref('billing_monthly') }} as opening
    on opening.site_id = closing.site_id
    and opening.meter_id = closing.meter_id
    and opening.billing_month = closing.billing_month + interval 1 month
where
    opening.period_start_utc = opening.index_start_at_utc
    and closing.period_end_utc = closing.index_end_at_utc
    and (
        opening.index_start is distinct from closing.index_end
        or opening.index_start_source is distinct from closing.index_end_source
    )
