with

links as (
    select * from {{ ref('int_register_links') }}
),

index_days as (
    select * from {{ ref('meter_index_days') }}
),

facts as (
    select * from {{ ref('meter_facts') }}
),

series as (
    select
        site_id,
        meter_id,
        register,
        min(first_read_at_utc) as first_read_at_utc,
        min_by(first_index, local_date) as first_index,
        min_by(is_installation, local_date) as is_installation,
        max(last_read_at_utc) as last_read_at_utc,
        max_by(last_index, local_date) as last_index
    from links
    group by site_id, meter_id, register
),

cuts as (
    select
        site_id,
        meter_id,
        register,
        local_date,
        unnest(cuts) as cut
    from links
    where len(cuts) > 0
),

-- Each cut ends one segment and begins the next.
beginnings as (
    select
        site_id,
        meter_id,
        register,
        case when is_installation then 'installation' else 'first_reading' end as began_with,
        first_read_at_utc as from_utc,
        first_index as index_from,
        null::timestamptz as ended_before_utc,
        null::decimal(18, 6) as ended_at_index,
        null::decimal(18, 6) as counted_across
    from series
    union all
    select
        site_id,
        meter_id,
        register,
        case cut.cut when 'rollover' then 'rollover' else 'replacement' end,
        cut.read_at_utc,
        cut.index_after,
        cut.before_at_utc,
        cut.index_before,
        case
            when cut.cut = 'rollover' then {{ rollover_advance('cut.index_before', 'cut.index_after') }}
        end
    from cuts
),

numbered as (
    select
        *,
        row_number() over series as segment,
        lead(ended_before_utc) over series as next_ended_before_utc,
        lead(ended_at_index) over series as next_ended_at_index
    from beginnings
    window series as (partition by site_id, meter_id, register order by from_utc)
),

-- Which of a meter's registers its intervals were made of, on the days of the segment.
uses as (
    select
        site_id,
        meter_id,
        index_register,
        min(local_date) as first_used_on,
        max(local_date) as last_used_on
    from index_days
    where series_kind = 'index'
    group by site_id, meter_id, index_register
),

final as (
    select
        numbered.site_id,
        numbered.meter_id,
        numbered.register,
        numbered.segment::integer as segment,
        numbered.began_with,
        numbered.from_utc,
        coalesce(numbered.next_ended_before_utc, series.last_read_at_utc) as until_utc,
        numbered.index_from,
        coalesce(numbered.next_ended_at_index, series.last_index) as index_until,
        (coalesce(numbered.next_ended_at_index, series.last_index) - numbered.index_from)::decimal(18, 6) as advance,
        numbered.counted_across,
        numbered.ended_at_index as index_before,
        uses.index_register is not null as is_used,
        uses.first_used_on,
        uses.last_used_on,
        numbered.began_with = 'replacement' and exists (
            select 1 from facts
            where
                facts.site_id = numbered.site_id
                and facts.meter_id = numbered.meter_id
                and abs(epoch_us(facts.replaced_at_utc) - epoch_us(numbered.from_utc)) <= 2 * 86400000000
        ) as is_dated
    from numbered
    inner join series
        on series.site_id = numbered.site_id
        and series.meter_id = numbered.meter_id
        and series.register = numbered.register
    left join uses
        on uses.site_id = numbered.site_id
        and uses.meter_id = numbered.meter_id
        and uses.index_register = numbered.register
    order by numbered.site_id, numbered.meter_id, numbered.register, numbered.segment
)

select * from final
