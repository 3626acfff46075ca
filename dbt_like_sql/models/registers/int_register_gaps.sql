-- Beyond 40 days a difference is nobody's in particular.
with

unread_days as (
    select
        site_id,
        meter_id,
        register,
        local_date,
        unnest(generate_series(links.date_before + 1, local_date - 1, interval 1 day))::date as unread_on
    from {{ ref('int_register_links') }} as links
    left join {{ ref('int_register_openings') }} as openings using (site_id, meter_id, register, local_date)
    where
        local_date - links.date_before > 1
        and (openings.cut is not null or local_date - links.date_before <= 41)
)

select
    unread_days.site_id,
    unread_days.meter_id,
    unread_days.register,
    unread_days.local_date,
    coalesce(sum(meter_days.total), 0)::decimal(18, 6) as stated,
    count(*) = count(*) filter (where meter_days.intervals_missing = 0 and meter_days.intervals_null = 0) as is_whole
from unread_days
left join {{ ref('meter_days') }} as meter_days
    on meter_days.site_id = unread_days.site_id
    and meter_days.meter_id = unread_days.meter_id
    and meter_days.local_date = unread_days.unread_on
group by unread_days.site_id, unread_days.meter_id, unread_days.register, unread_days.local_date
order by unread_days.site_id, unread_days.meter_id, unread_days.register, unread_days.local_date
