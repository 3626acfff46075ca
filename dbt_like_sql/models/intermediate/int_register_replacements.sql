with

links as (
    select * from {{ ref('int_register_links') }}
),

facts as (
    select distinct
        site_id,
        meter_id,
        replaced_at_utc
    from {{ ref('meter_facts') }}
    where replaced_at_utc is not null
),

cuts as (
    select
        links.site_id,
        links.meter_id,
        links.register,
        links.local_date,
        unnest(links.cuts) as cut
    from links
    where len(links.cuts) > 0
),

-- Cuts of several registers that overlap in time are one replacement of the device.
in_order as (
    select
        site_id,
        meter_id,
        register,
        local_date,
        cut.cut,
        cut.before_at_utc,
        cut.read_at_utc,
        cut.index_before,
        cut.index_after,
        coalesce(max(cut.read_at_utc) over (
            partition by site_id, meter_id
            order by cut.before_at_utc, cut.read_at_utc, register
            rows between unbounded preceding and 1 preceding
        ) <= cut.before_at_utc, true)::integer as is_next
    from cuts
    where cut.cut not in ('rollover', 'sibling')
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

-- Each date is that of one replacement, the nearest; it says nothing of another one nearby.
dates as (
    select
        replacements.site_id,
        replacements.meter_id,
        replacements.number,
        row_number() over (
            partition by facts.site_id, facts.meter_id, facts.replaced_at_utc
            order by
                greatest(
                    0,
                    epoch_us(replacements.before_at_utc) - epoch_us(facts.replaced_at_utc),
                    epoch_us(facts.replaced_at_utc) - epoch_us(replacements.read_at_utc)
                ),
                replacements.before_at_utc desc
        ) as rank
    from facts
    inner join replacements
        on replacements.site_id = facts.site_id
        and replacements.meter_id = facts.meter_id
        and not replacements.is_cut_by_date
        and {{ is_near('facts.replaced_at_utc', 'replacements.before_at_utc', 'replacements.read_at_utc') }}
),

final as (
    select
        replacements.site_id,
        replacements.meter_id,
        replacements.local_date,
        replacements.before_at_utc,
        replacements.read_at_utc,
        replacements.index_before,
        replacements.index_after,
        bool_or(replacements.is_cut_by_date or coalesce(dates.rank = 1, false)) as is_dated
    from replacements
    left join dates
        on dates.site_id = replacements.site_id
        and dates.meter_id = replacements.meter_id
        and dates.number = replacements.number
    group by all
    order by site_id, meter_id, before_at_utc
)

select * from final
