-- A quantity comes from the meter's readings, from the series of its site (one of the two then, and perhaps the other
-- now), or from its own intervals.
with

explained as (
    select
        differing.*,
        quantities.is_of_intervals,
        quantities.is_summed,
        case
            when differing.quantity like '%index_%' then reading_news.first_at_utc
            when quantities.is_of_intervals then interval_news.first_at_utc
            else least(
                case when differing.is_flow_of_site then site_news.first_at_utc end,
                case when differing.is_flow_of_register then reading_news.first_at_utc end
            )
        end as news_at_utc,
        -- The days of service are part of the content, too: without news, it is they that changed.
        news_at_utc is not null and (differing.is_content_changed or not quantities.is_of_intervals) as is_value_changed
    from {{ ref('int_differing_quantities') }} as differing
    inner join {{ ref('invoiced_quantities') }} as quantities using (quantity)
    left join {{ ref('int_interval_news') }} as interval_news using (site_id, meter_id, billing_month)
    left join {{ ref('int_reading_news') }} as reading_news using (site_id, meter_id, billing_month)
    left join {{ ref('int_site_news') }} as site_news using (site_id, billing_month)
)

select
    site_id,
    explained.site_name,
    meter_id,
    explained.meter_name,
    billing_month,
    quantity,
    explained.unit,
    explained.closed_value,
    explained.current_value,
    case
        when explained.is_summed then coalesce(explained.current_value, 0) - coalesce(explained.closed_value, 0)
    end::decimal(18, 6) as delta,
    -- Where no reading tells, Python keeps what is found here first.
    coalesce(
        seen.first_seen_at_utc,
        case when explained.is_value_changed then explained.news_at_utc end,
        date_trunc('second', current_timestamp)
    ) as first_seen_at_utc,
    case
        when explained.is_value_changed then 'values'
        when explained.is_input_changed then 'decision'
        else 'calculation'
    end as cause,
    explained.current_grade,
    version,
    explained.closed_at_utc
from explained
left join {{ source('pipeline', 'corrections_seen') }} as seen
    using (site_id, billing_month, version, meter_id, quantity)
order by billing_month, site_id, meter_id, explained.position
