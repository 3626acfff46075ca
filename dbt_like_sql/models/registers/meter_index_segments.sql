with

series as (
    select
        site_id,
        meter_id,
        register,
        min(first_read_at_utc) as first_read_at_utc,
        min_by(first_index, local_date) as first_index,
        min_by(is_installation, local_date) as is_installation,
        min_by(first_column, local_date) as first_column,
        max(last_read_at_utc) as last_read_at_utc,
        max_by(last_index, local_date) as last_index
    from {{ ref('int_register_counts') }}
    group by site_id, meter_id, register
),

-- Each cut and each swap ends one segment and begins the next; where both fall on one link, the cut counts, and the
-- register goes on in the other column.
beginnings as (
    select
        series.site_id,
        series.meter_id,
        series.register,
        series.first_column as column_then,
        case when series.is_installation then 'installation' else 'first_reading' end as began_with,
        series.first_read_at_utc as from_utc,
        series.first_index as index_from,
        null::timestamptz as ended_before_utc,
        null::decimal(18, 6) as ended_at_index,
        null::decimal(18, 6) as counted_across
    from series
    where not exists (
        select 1 from {{ ref('int_register_swaps') }} as swaps
        where
            swaps.site_id = series.site_id
            and swaps.meter_id = series.meter_id
            and swaps.register = series.register
            and swaps.read_at_utc <= series.first_read_at_utc
    )
    union all
    select
        site_id,
        meter_id,
        register,
        swaps.column_after,
        case
            when cuts.cut = 'rollover' then 'rollover'
            when {{ unit_change('cuts.index_before', 'cuts.index_after') }} is not null then 'unit_change'
            else 'replacement'
        end,
        read_at_utc,
        cuts.index_after,
        cuts.before_at_utc,
        cuts.index_before,
        case when cuts.cut = 'rollover' then {{ rollover_advance('cuts.index_before', 'cuts.index_after') }} end
    from {{ ref('int_register_cuts') }} as cuts
    left join {{ ref('int_register_swaps') }} as swaps using (site_id, meter_id, register, read_at_utc)
    union all
    select
        site_id,
        meter_id,
        register,
        column_after,
        'swap',
        read_at_utc,
        index_after,
        before_at_utc,
        index_before,
        index_after - index_before
    from {{ ref('int_register_swaps') }}
    anti join {{ ref('int_register_cuts') }} using (site_id, meter_id, register, read_at_utc)
),

-- A register stays in its column until it is swapped; clerks look for it under the column's name.
placed as (
    select
        * exclude (column_then),
        last_value(column_then ignore nulls) over (
            partition by site_id, meter_id, register order by from_utc rows unbounded preceding
        ) as column_now,
        lead(ended_before_utc) over segments as next_ended_before_utc,
        lead(ended_at_index) over segments as next_ended_at_index
    from beginnings
    window segments as (partition by site_id, meter_id, register order by from_utc)
),

numbered as (
    select
        *,
        row_number() over (partition by site_id, meter_id, column_now order by from_utc)::integer as segment
    from placed
),

-- The days at whose end the meter's intervals were made of the register, in this segment.
uses as (
    select
        numbered.site_id,
        numbered.meter_id,
        numbered.column_now,
        numbered.segment,
        min(index_days.local_date) as first_used_on,
        max(index_days.local_date) as last_used_on
    from {{ ref('meter_index_days') }} as index_days
    asof inner join numbered
        on numbered.site_id = index_days.site_id
        and numbered.meter_id = index_days.meter_id
        and numbered.column_now = index_days.index_register
        and numbered.from_utc <= index_days.index_at_utc
    where index_days.series_kind = 'index'
    group by numbered.site_id, numbered.meter_id, numbered.column_now, numbered.segment
)

select
    site_id,
    meter_id,
    column_now as register,
    segment,
    numbered.began_with,
    numbered.from_utc,
    coalesce(numbered.next_ended_before_utc, series.last_read_at_utc) as until_utc,
    numbered.index_from,
    coalesce(numbered.next_ended_at_index, series.last_index) as index_until,
    (coalesce(numbered.next_ended_at_index, series.last_index) - numbered.index_from)::decimal(18, 6) as advance,
    numbered.counted_across,
    numbered.ended_at_index as index_before,
    uses.first_used_on is not null as is_used,
    uses.first_used_on,
    uses.last_used_on,
    numbered.began_with = 'replacement' and exists (
        select 1 from {{ ref('int_register_replacements') }} as replacements
        where
            replacements.site_id = numbered.site_id
            and replacements.meter_id = numbered.meter_id
            and replacements.is_dated
            and replacements.before_at_utc < numbered.from_utc
            and replacements.read_at_utc > numbered.ended_before_utc
    ) as is_dated
from numbered
inner join series using (site_id, meter_id, register)
left join uses using (site_id, meter_id, column_now, segment)
order by site_id, meter_id, column_now, segment
