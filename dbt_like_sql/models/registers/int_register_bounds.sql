{{ config(materialized='view') }}

-- Of the days that are being built: int_register_midnights keeps them.

with

-- A meter that was taken out in the middle of a day was read for the last time when its last interval ended.
ends_of_service as (
    select
        meter_days.site_id,
        meter_days.meter_id,
        meter_days.local_date,
        epoch_us(meter_days.day_end_utc) - meter_days.gap_at_end_minutes::bigint * 60000000 as served_until_us
    from {{ ref('meter_services') }} as services
    inner join {{ ref('meter_days') }} as meter_days
        on meter_days.site_id = services.site_id
        and meter_days.meter_id = services.meter_id
        and meter_days.local_date = services.in_service_until
),

-- What each register had counted before that.
counted_before as (
    select
        site_id,
        meter_id,
        register,
        sum(counted) as counted
    from {{ ref('int_register_counts') }}
    where local_date < {{ built_from() }} - 45
    group by site_id, meter_id, register
),

neighbours as (
    select
        counts.site_id,
        counts.meter_id,
        counts.register,
        counts.local_date as read_on,
        last_read_at_utc,
        last_index,
        -- What the register has counted since its first known index, over all cuts: never falls.
        -- Null where wrong readings added up to more than it can hold: not known, rather than no build.
        try_cast(
            coalesce(counted_before.counted, 0) + sum(counts.counted) over (series rows unbounded preceding)
            as decimal(18, 6)
        ) as counted_at_last,
        is_crossed,
        is_installation,
        readings,
        coalesce(lead(counts.local_date) over series, silences.silent_until) as next_read_on,
        lead(first_read_at_utc) over series as next_read_at_utc,
        lead(first_index) over series as next_index,
        lead(opening_cut) over series as next_cut,
        -- Beyond 40 days a straight line says little.
        epoch_us(next_read_at_utc) - epoch_us(last_read_at_utc) <= 40 * 86400000000 as is_next_near
    from {{ ref('int_register_counts') }} as counts
    left join counted_before using (site_id, meter_id, register)
    left join {{ ref('int_register_silences') }} as silences
        on silences.site_id = counts.site_id
        and silences.meter_id = counts.meter_id
        and silences.register = counts.register
        and silences.silent_from = counts.local_date
    where {{ is_around_built() }}
    window series as (partition by counts.site_id, counts.meter_id, counts.register order by counts.local_date)
),

-- Days without a reading stand between their neighbours.
dated as (
    select *, read_on as local_date
    from neighbours
    union all
    select *, unnest(generate_series(read_on + 1, next_read_on - 1, interval 1 day))::date as local_date
    from neighbours
    where is_next_near and next_read_on - read_on > 1
),

placed as (
    select
        dated.* exclude (next_cut),
        calendar.day_end_utc as midnight_utc,
        case
            when dated.last_read_at_utc = calendar.day_end_utc
                then case when dated.is_installation then 'zero_at_installation' else 'read' end
            when dated.next_cut is null and dated.next_read_at_utc > calendar.day_end_utc and dated.is_next_near
                then 'interpolated'
            when epoch_us(dated.last_read_at_utc) = ends_of_service.served_until_us then 'read'
            else 'none'
        end as index_source
    from dated
    inner join {{ ref('int_meters') }} as meters using (site_id, meter_id)
    inner join {{ ref('calendar_days') }} as calendar using (zone, local_date)
    left join ends_of_service using (site_id, meter_id, local_date)
),

valued as (
    select
        *,
        case when index_source = 'read' then last_read_at_utc else midnight_utc end as bound_utc,
        case index_source
            when 'interpolated' then (
                last_index + (next_index - last_index)
                * ((epoch_us(midnight_utc) - epoch_us(last_read_at_utc))::double
                    / (epoch_us(next_read_at_utc) - epoch_us(last_read_at_utc)))
            )::decimal(18, 6)
            when 'none' then null
            else last_index
        end as index_at_end
    from placed
)

select
    site_id,
    meter_id,
    register,
    local_date,
    read_on,
    next_read_on,
    bound_utc,
    index_source,
    index_at_end,
    case
        when index_source = 'interpolated'
            then least(
                epoch_us(bound_utc) - epoch_us(last_read_at_utc), epoch_us(next_read_at_utc) - epoch_us(bound_utc)
            ) // 60000000
        when index_source <> 'none' then (epoch_us(midnight_utc) - epoch_us(bound_utc)) // 60000000
    end::integer as distance_minutes,
    -- The register stood between these two readings, wherever the line puts it.
    case
        when index_source = 'interpolated' then greatest(index_at_end - last_index, next_index - index_at_end)
        when index_source <> 'none' then 0
    end::decimal(18, 6) as uncertainty,
    (counted_at_last + index_at_end - last_index)::decimal(18, 6) as counted,
    is_crossed,
    case when read_on = local_date then readings else 0 end as readings
from valued
