with

-- Cuts of several registers that overlap in time are one replacement of the device.
in_order as (
    select
        *,
        coalesce(max(read_at_utc) over (
            partition by site_id, meter_id
            order by before_at_utc, read_at_utc, register
            rows between unbounded preceding and 1 preceding
        ) <= before_at_utc, true)::integer as is_next
    from {{ ref('int_register_cuts') }}
    where cut not in ('rollover', 'sibling')
),

numbered as (
    select
        *,
        sum(is_next) over (
            partition by site_id, meter_id order by before_at_utc, read_at_utc, register rows unbounded preceding
        ) as number
    from in_order
),

replacements as (
    select
        site_id,
        meter_id,
        number,
        min(local_date) as local_date,
        max(before_at_utc) as before_at_utc,
        min(read_at_utc) as read_at_utc,
        -- A register that shows the replacement says more than one that only counts higher.
        min_by(index_before, (cut <> 'fall', cut <> 'jump', register)) as index_before,
        min_by(index_after, (cut <> 'fall', cut <> 'jump', register)) as index_after,
        bool_or(cut = 'dated') as is_cut_by_date
    from numbered
    group by site_id, meter_id, number
),

dates as (
    select distinct
        site_id,
        meter_id,
        replaced_at_utc
    from {{ ref('meter_facts') }}
    where replaced_at_utc is not null
),

-- Each date is that of one replacement, the nearest; it says nothing of another one nearby.
nearest as (
    select
        replacements.site_id,
        replacements.meter_id,
        replacements.number
    from dates
    inner join replacements
        on replacements.site_id = dates.site_id
        and replacements.meter_id = dates.meter_id
        and not replacements.is_cut_by_date
        and {{ is_near('dates.replaced_at_utc', 'replacements.before_at_utc', 'replacements.read_at_utc') }}
    qualify row_number() over (
        partition by dates.site_id, dates.meter_id, dates.replaced_at_utc
        order by
            greatest(
                0,
                epoch_us(replacements.before_at_utc) - epoch_us(dates.replaced_at_utc),
                epoch_us(dates.replaced_at_utc) - epoch_us(replacements.read_at_utc)
            ),
            replacements.before_at_utc desc
    ) = 1
)

select
    site_id,
    meter_id,
    local_date,
    before_at_utc,
    read_at_utc,
    index_before,
    index_after,
    -- Where the closing and the opening index were read in one instant, nothing is left to be dated.
    is_cut_by_date or epoch_us(read_at_utc) - epoch_us(before_at_utc) = 1 or (site_id, meter_id, number) in (from nearest) as is_dated
from replacements
order by site_id, meter_id, before_at_utc
