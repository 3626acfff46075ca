select
    site_id,
    meter_id,
    register,
    first_column,
    local_date,
    true as is_opening,
    shown_cut as cut,
    before_at_utc,
    first_read_at_utc as read_at_utc,
    index_before,
    first_index as index_after,
    null::decimal(18, 6) as total_between,
    null::decimal(18, 6) as open_between
from {{ ref('int_register_links') }}
where shown_cut is not null
union all
select
    links.site_id,
    links.meter_id,
    links.register,
    links.first_column,
    links.local_date,
    false,
    cuts.cut,
    cuts.before_at_utc,
    cuts.read_at_utc,
    cuts.index_before,
    cuts.index_after,
    cuts.total_between,
    cuts.open_between
from {{ ref('int_register_cuts_daily') }} as cuts
inner join {{ ref('int_register_links') }} as links
    on links.site_id = cuts.site_id
    and links.meter_id = cuts.meter_id
    and links.first_column = cuts.register
    and links.local_date = cuts.local_date
    and not links.is_installation
where not cuts.is_spared
order by site_id, meter_id, register, read_at_utc
