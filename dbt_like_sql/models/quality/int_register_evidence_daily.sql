{{ config(order_by='site_id, meter_id, local_date') }}

with

-- The links between readings that touch the day, one with the other; null where one of them can't be compared.
touching as (
    select
        site_id,
        meter_id,
        local_date,
        billing_month,
        days.total,
        indices.unmeasured,
        indices.index_uncertainty,
        coalesce(indices.readings, 0) as readings,
        -- What the registers counted in the day; a load curve states it as a sum.
        coalesce(indices.advance, indices.load_curve_total) as advance,
        steps.step as meter_step,
        case
            when days.link_last_at_utc is null then null
            else case when days.link_first_at_utc is not null then days.link_apart_within else 0 end
                + case when days.link_before_at_utc is not null then days.link_apart_since else 0 end
                + case
                    when days.link_next_at_utc is not null and days.link_last_at_utc < days.day_end_utc
                        then days.link_apart_next
                    else 0
                end
        end as apart,
        coalesce(abs(days.link_counted_since), 0) + coalesce(abs(days.link_counted_next), 0) as counted_around,
        coalesce(days.link_open_at_first, 0) + coalesce(days.link_open_at_last, 0)
            + coalesce(days.link_open_at_next, 0) as open
    from {{ ref('billing_days') }} as days
    semi join {{ ref('meters') }} as listed using (site_id, meter_id)
    left join {{ ref('meter_index_days') }} as indices using (site_id, meter_id, local_date, billing_month)
    left join {{ ref('int_meter_steps') }} as steps using (site_id, meter_id)
    where days.is_asked
),

weighed as (
    select
        touching.*,
        checks.tolerance,
        -- What an index has to tell apart, and what it may differ by.
        greatest(2 * touching.meter_step, abs(touching.total) * checks.tolerance) as slack,
        -- While it was replaced, no register measured anything, and none can confirm it.
        coalesce(abs(touching.unmeasured) > slack, false) as is_unmeasured
    from touching
    inner join {{ ref('data_quality_checks') }} as checks on checks.check_name = 'index_difference'
)

select
    site_id,
    meter_id,
    local_date,
    billing_month,
    meter_step,
    advance,
    -- Whether the register counted the day as the intervals do: then what looks odd was real. Where the day's own
    -- bounds are interpolated, the links that touch it have to tell.
    not is_unmeasured
    and coalesce(abs(advance - (total - unmeasured)) <= slack + coalesce(index_uncertainty, 0), false)
    and coalesce(
        abs(apart) <= greatest(2 * meter_step, (abs(total) + counted_around) * tolerance) + open,
        coalesce(index_uncertainty, 0) = 0
    ) as is_confirmed,
    -- What the register did on the first day that it was ever read is not known, but it was read.
    is_unmeasured or (advance is null and readings = 0) as is_unread
from weighed
