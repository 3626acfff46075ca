-- What the readings say, wherever in the period they are: from its first to its last, and from the last before it to
-- the first after it. Over days that dropped out, no way from one reading to the next is compared: days that follow
-- each other are a stretch.
with

beginnings as (
    select
        *,
        lag(local_date) over days is distinct from local_date - 1 as begins_stretch
    from {{ ref('int_counted_days') }}
    window days as (partition by site_id, meter_id, period_from order by local_date)
),

stretches as (
    select
        *,
        sum(begins_stretch::integer) over (
            partition by site_id, meter_id, period_from order by local_date rows unbounded preceding
        ) as stretch
    from beginnings
),

bounded as (
    select
        *,
        min(day_start_utc) over (partition by site_id, meter_id, period_from, stretch) as stretch_start_utc,
        max(day_end_utc) over (partition by site_id, meter_id, period_from, stretch) as stretch_end_utc
    from stretches
),

outermost as (
    select
        site_id,
        meter_id,
        period_from,
        sum(coalesce(link_apart_within, 0)) + coalesce(
            sum(link_apart_since) filter (where link_before_at_utc >= stretch_start_utc), 0
        ) as apart_inside,
        coalesce(sum(link_open_at_first + link_open_at_last) filter (
            where link_apart_within is null or (link_apart_since is null and link_before_at_utc is not null)
        ), 0) as open_inside,
        min(local_date) filter (where link_first_at_utc is not null) as first_read_on,
        max(local_date) as last_read_on
    from bounded
    where link_last_at_utc is not null
    group by site_id, meter_id, period_from
)

select
    outermost.site_id,
    outermost.meter_id,
    outermost.period_from,
    case when outermost.first_read_on is not null then outermost.apart_inside end as apart_inside,
    outermost.open_inside,
    coalesce(first_read.link_open_at_first, 0) as open_at_first,
    coalesce(last_read.link_open_at_last, 0) as open_at_last,
    coalesce(last_read.link_open_at_next, 0) as open_at_next,
    first_read.link_before_at_utc < first_read.stretch_start_utc as is_read_before,
    last_read.link_last_at_utc < last_read.stretch_end_utc as is_read_after,
    first_read.link_apart_since as apart_before,
    first_read.link_counted_since as counted_before,
    last_read.link_apart_next as apart_after,
    last_read.link_counted_next as counted_after
from outermost
left join bounded as first_read
    on first_read.site_id = outermost.site_id
    and first_read.meter_id = outermost.meter_id
    and first_read.period_from = outermost.period_from
    and first_read.local_date = outermost.first_read_on
left join bounded as last_read
    on last_read.site_id = outermost.site_id
    and last_read.meter_id = outermost.meter_id
    and last_read.period_from = outermost.period_from
    and last_read.local_date = outermost.last_read_on
