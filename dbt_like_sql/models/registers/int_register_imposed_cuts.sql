{{ config(watch="date_trunc('month', local_date)::date as billing_month, *") }}

with

pairs as (
    select
        site_id,
        meter_id,
        register,
        local_date,
        'dated' as cut,
        before_at_utc,
        read_at_utc,
        index_before,
        index_after,
        total_between,
        open_between
    from {{ ref('int_register_dated_pairs') }}
    union all
    -- Consumption per interval falls without a replacement.
    select
        siblings.site_id,
        siblings.meter_id,
        siblings.register,
        siblings.local_date,
        'sibling',
        siblings.before_at_utc,
        siblings.read_at_utc,
        siblings.index_before,
        siblings.index_after,
        siblings.total_between,
        siblings.open_between
    from {{ ref('int_register_sibling_cuts_daily') }} as siblings
    inner join {{ ref('int_registers') }} as registers
        on registers.site_id = siblings.site_id
        and registers.meter_id = siblings.meter_id
        and registers.register = siblings.cut_register
        and registers.series_kind = 'index'
)

select
    links.site_id,
    links.meter_id,
    links.register,
    links.first_column,
    links.local_date,
    min(pairs.cut) as cut,
    pairs.before_at_utc,
    pairs.read_at_utc,
    pairs.index_before,
    pairs.index_after,
    pairs.total_between,
    pairs.open_between
from pairs
inner join {{ ref('int_register_links') }} as links
    on links.site_id = pairs.site_id
    and links.meter_id = pairs.meter_id
    and links.first_column = pairs.register
    and links.local_date = pairs.local_date
    and not links.is_installation
group by all
order by links.site_id, links.meter_id, links.register, pairs.read_at_utc
