with

links as (
    select * from {{ ref('int_register_links') }}
),

calendar as (
    select * from {{ ref('calendar_days') }}
),

meter_days as (
    select * from {{ ref('meter_days') }}
),

services as (
    select * from {{ ref('meter_services') }}
),

-- A meter that was taken out in the middle of a day was read for the last time when its last interval ended.
ends_of_service as (
    select
        meter_days.site_id,
        meter_days.meter_id,
        meter_days.local_date,
        epoch_us(meter_days.day_end_utc) - meter_days.gap_at_end_minutes::bigint * 60000000 as served_until_us
    from services
    inner join meter_days
        on meter_days.site_id = services.site_id
        and meter_days.meter_id = services.meter_id
        and meter_days.local_date = services.in_service_until
),

neighbours as (
    select
        *,
        lead(local_date) over series as next_date,
        lead(first_read_at_utc) over series as next_read_at_utc,
        lead(first_index) over series as next_index,
        lead(opening_cut) over series as next_cut,
        lead(steps) over series as next_steps
    from links
    window series as (partition by site_id, meter_id, register order by local_date)
),

-- Days without a reading stand between their neighbours; not beyond 40 days, where a straight line says little.
dated as (
    select
        * replace (
            unnest(generate_series(
                local_date,
                case
                    when epoch_us(next_read_at_utc) - epoch_us(last_read_at_utc) <= 40 * 86400000000
                        then next_date - 1
                    else local_date
                end,
                interval 1 day
            ))::date as local_date
        ),
        local_date as read_on
    from neighbours
),

placed as (
    select
        dated.*,
        calendar.day_end_utc as midnight_utc,
        case
            when dated.last_read_at_utc = calendar.day_end_utc
                then case when dated.is_installation then 'zero_at_installation' else 'read' end
            when dated.next_cut is null and dated.next_read_at_utc > calendar.day_end_utc
                and epoch_us(dated.next_read_at_utc) - epoch_us(dated.last_read_at_utc) <= 40 * 86400000000
                then 'interpolated'
            when epoch_us(dated.last_read_at_utc) = ends_of_service.served_until_us then 'read'
            else 'none'
        end as index_source
    from dated
    inner join calendar
        on calendar.zone = dated.zone
        and calendar.local_date = dated.local_date
    left join ends_of_service
        on ends_of_service.site_id = dated.site_id
        and ends_of_service.meter_id = dated.meter_id
        and ends_of_service.local_date = dated.local_date
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
),

final as (
    select
        site_id,
        meter_id,
        register,
        local_date,
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
            when index_source = 'interpolated'
                then greatest(index_at_end - last_index, next_index - index_at_end)
            when index_source <> 'none' then 0
        end::decimal(18, 6) as uncertainty,
        (counted_at_last + index_at_end - last_index)::decimal(18, 6) as counted,
        is_crossed,
        -- On a day without a reading only the step that goes over it.
        {
            'before_at_utc': case when read_on = local_date then steps.before_at_utc end,
            'first_at_utc': case when read_on = local_date then steps.first_at_utc end,
            'last_at_utc': last_read_at_utc,
            'next_at_utc': next_read_at_utc,
            'apart_since': case when read_on = local_date then steps.apart_since end,
            'counted_since': case when read_on = local_date then steps.counted_since end,
            'apart_within': case when read_on = local_date then steps.apart_within end,
            'apart_next': next_steps.apart_since,
            'counted_next': next_steps.counted_since,
            'open_at_first': case when read_on = local_date then steps.open_at_first end,
            'open_at_last': steps.open_at_last,
            'open_at_next': next_steps.open_at_first
        } as steps,
        case when read_on = local_date then cuts end as cuts,
        case when read_on = local_date then glitches else 0 end as glitches,
        case when read_on = local_date then readings else 0 end as readings
    from valued
    order by site_id, meter_id, register, local_date
)

select * from final
