with

exchanges as (
    select
        links.register,
        exchanges.*,
        (links.register = 'import') = (exchanges.number % 2 = 1) as is_to_export
    from {{ ref('int_register_exchanges') }} as exchanges
    inner join {{ ref('int_register_links') }} as links
        on links.site_id = exchanges.site_id
        and links.meter_id = exchanges.meter_id
        and links.local_date = exchanges.local_date
        and links.register in ('import', 'export')
        and not links.is_installation
)

-- Seen from the register: each leaves the column in which it stood, and goes on in the other.
select
    site_id,
    meter_id,
    register,
    case when is_to_export then 'export' else 'import' end as column_after,
    before_at_utc,
    read_at_utc,
    case when is_to_export then import_before else export_before end as index_before,
    case when is_to_export then export_after else import_after end as index_after
from exchanges
order by site_id, meter_id, register, read_at_utc
