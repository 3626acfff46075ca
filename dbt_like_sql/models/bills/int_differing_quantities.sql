-- Every quantity of a closed month that is another now, with what is known of the meter's month then and now. A meter
-- may have come to light, or vanished, since the month was closed.
select
    changes.*,
    (changes.billing_month + interval 1 month)::date as next_month,
    coalesce(billing.site_name, closed.site_name) as site_name,
    coalesce(billing.meter_name, closed.meter_name) as meter_name,
    billing.grade as current_grade,
    coalesce(billing.period_start_utc, closed.period_start_utc) as period_start_utc,
    coalesce(billing.period_end_utc, closed.period_end_utc) as period_end_utc,
    coalesce('site_intervals' in (closed.flow_source, billing.flow_source), false) as is_flow_of_site,
    coalesce('register' in (closed.flow_source, billing.flow_source), false) as is_flow_of_register,
    closed.content_hash is distinct from billing.content_hash as is_content_changed,
    -- The hash of an older version of the models is of less.
    closed.inputs_hash is distinct from case
        when list_contains(closings.frozen_columns, 'billed_total') then inputs.inputs_hash
        else inputs.inputs_hash_of_totals
    end as is_input_changed,
    closings.closed_at_utc,
    closings.lake_as_of_utc
from {{ ref('closed_changes') }} as changes
inner join {{ ref('billing_closings') }} as closings
    on closings.site_id = changes.site_id
    and closings.billing_month = changes.billing_month
    and closings.is_closed
left join {{ ref('billing_closed') }} as closed
    on closed.site_id = changes.site_id
    and closed.meter_id = changes.meter_id
    and closed.billing_month = changes.billing_month
left join {{ ref('billing_monthly') }} as billing
    on billing.site_id = changes.site_id
    and billing.meter_id = changes.meter_id
    and billing.billing_month = changes.billing_month
left join {{ ref('int_inputs_monthly') }} as inputs
    on inputs.site_id = changes.site_id
    and inputs.meter_id = changes.meter_id
    and inputs.billing_month = changes.billing_month
