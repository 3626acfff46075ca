{{ config(watch="date_trunc('month', local_date)::date as billing_month, *") }}

-- Of an interval that reaches over a reading, half is taken for each side: how far off that can be, is kept with it.
select
    site_id,
    meter_id,
    register,
    local_date,
    true as is_opening,
    openings.cut,
    links.before_at_utc,
    links.first_read_at_utc as read_at_utc,
    links.index_before,
    links.first_index as index_after,
    (coalesce(links.stated_before, 0) + coalesce(gaps.stated, 0) + coalesce(links.before_first_stated, 0))::decimal(18, 6)
        as total_between,
    (coalesce(links.open_before, 0) + coalesce(links.before_first_open, 0))::decimal(18, 6) as open_between
from {{ ref('int_register_openings') }} as openings
inner join {{ ref('int_register_links') }} as links using (site_id, meter_id, register, local_date)
left join {{ ref('int_register_gaps') }} as gaps using (site_id, meter_id, register, local_date)
union all by name
select * exclude (first_column)
from {{ ref('int_register_own_cuts') }}
where not is_opening
order by site_id, meter_id, register, read_at_utc
