{{ config(materialized='by_month', month_column='local_date', goes_on=true) }}

-- What a register counted since the reading before: the links with all cuts, known and shown.
with

-- What lies between the readings around cuts that the register does not show itself is not counted either; nor what was
-- taken for a rollover there.
uncounted as (
    select
        site_id,
        meter_id,
        register,
        local_date,
        sum(
            imposed.index_after - imposed.index_before
            + case when shown.cut = 'rollover' then {{ register_end('shown.index_before') }} else 0 end
        ) as quantity
    from {{ ref('int_register_imposed_cuts') }} as imposed
    left join (
        select * from {{ ref('int_register_shown_cuts') }}
        where not is_opening
    ) as shown
        using (site_id, meter_id, register, local_date, read_at_utc)
    group by site_id, meter_id, register, local_date
),

unmeasured as (
    select
        site_id,
        meter_id,
        register,
        local_date,
        sum(total_between) as quantity
    from {{ ref('int_register_cuts') }}
    where not is_opening and cut <> 'rollover'
    group by site_id, meter_id, register, local_date
),

whole_days as (
    select
        site_id,
        meter_id,
        local_date,
        total
    from {{ ref('meter_days') }}
    where intervals_missing = 0 and intervals_null = 0 and {{ is_around_built() }}
),

advances as (
    select
        site_id,
        meter_id,
        register,
        local_date,
        links.* exclude (site_id, meter_id, register, local_date, advance, shown_cut),
        openings.cut as opening_cut,
        -- On a day that is not told pair by pair, the one passed over can be more than the day's.
        greatest(0, links.advance - coalesce(uncounted.quantity, 0)) as advance,
        case
            when openings.cut = 'rollover' then {{ rollover_advance('links.index_before', 'links.first_index') }}
            when openings.cut is not null then 0
            else coalesce(links.first_index - links.index_before, 0)
        end as opening_advance,
        coalesce(links.stated_before, 0) + coalesce(gaps.stated, 0) + coalesce(links.before_first_stated, 0) as stated_since,
        coalesce(links.open_before, 0) + coalesce(links.before_first_open, 0) as open_since,
        local_date - links.date_before <= 41 and coalesce(gaps.is_whole, true)
            -- Of the earlier reading's day only what came after it.
            and (links.is_read_at_midnight_before or days_before.total is not null) as is_whole_since,
        days.total as whole_total,
        coalesce(unmeasured.quantity, 0) as unmeasured
    from {{ ref('int_register_links') }} as links
    left join {{ ref('int_register_openings') }} as openings using (site_id, meter_id, register, local_date)
    left join {{ ref('int_register_gaps') }} as gaps using (site_id, meter_id, register, local_date)
    left join uncounted using (site_id, meter_id, register, local_date)
    left join unmeasured using (site_id, meter_id, register, local_date)
    left join whole_days as days using (site_id, meter_id, local_date)
    left join whole_days as days_before
        on days_before.site_id = links.site_id
        and days_before.meter_id = links.meter_id
        and days_before.local_date = links.date_before
        and not links.is_read_at_midnight_before
)

select
    site_id,
    meter_id,
    register,
    local_date,
    day_end_utc,
    first_column,
    is_crossed,
    is_installation,
    before_at_utc,
    first_read_at_utc,
    last_read_at_utc,
    first_index,
    last_index,
    readings,
    opening_cut,
    opening_advance::decimal(18, 6) as counted_since,
    -- What the intervals state more than the register counted: since the reading before, and from the day's first reading
    -- to its last. Null where not all of these intervals are known; nothing where the device was replaced.
    case
        when opening_cut <> 'rollover' then 0
        when whole_total is not null and is_whole_since then stated_since + open_since / 2 - opening_advance
    end::decimal(18, 6) as apart_since,
    (
        whole_total - before_first_stated - before_first_open / 2 - after_last_stated - after_last_open / 2
        - unmeasured - advance
    )::decimal(18, 6) as apart_within,
    coalesce(before_first_open, 0)::decimal(18, 6) as open_at_first,
    coalesce(after_last_open, 0)::decimal(18, 6) as open_at_last,
    -- Since the reading before until the day's last one, over all cuts: never less than nothing.
    opening_advance + advance as counted
from advances
