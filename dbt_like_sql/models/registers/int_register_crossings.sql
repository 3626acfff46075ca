with

column_days as (
    select distinct
        site_id,
        meter_id,
        local_date
    from {{ ref('int_register_days') }}
    semi join {{ ref('int_register_exchanges') }} using (site_id, meter_id)
    where register in ('import', 'export') and first_read_at_utc is not null
)

-- Two exchanges are none.
select
    days.site_id,
    days.meter_id,
    days.local_date,
    count(*) filter (where exchanges.local_date < days.local_date or not exchanges.is_inside) % 2 = 1 as starts_crossed,
    count(*) % 2 = 1 as is_crossed
from column_days as days
inner join {{ ref('int_register_exchanges') }} as exchanges
    on exchanges.site_id = days.site_id
    and exchanges.meter_id = days.meter_id
    and exchanges.local_date <= days.local_date
group by days.site_id, days.meter_id, days.local_date
order by days.site_id, days.meter_id, days.local_date
