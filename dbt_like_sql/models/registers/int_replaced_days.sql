{{ config(watch="date_trunc('month', first_day)::date as billing_month, *") }}

with

replaced as (
    select
        site_id,
        meter_id,
        local_date,
        count(*) as replacements
    from {{ ref('int_register_replacements') }}
    group by site_id, meter_id, local_date
),

-- What is open of the register that counts; for meters of which no one does, of any.
days as (
    select
        roles.site_id,
        roles.meter_id,
        roles.local_date,
        coalesce(counting.open, roles.open) as open,
        coalesce(replaced.replacements, 0) as replacements
    from {{ ref('int_register_roles') }} as roles
    left join {{ ref('int_register_midnights') }} as counting
        on counting.site_id = roles.site_id
        and counting.meter_id = roles.meter_id
        and counting.local_date = roles.local_date
        and counting.register = roles.counting_register
    left join replaced
        on replaced.site_id = roles.site_id
        and replaced.meter_id = roles.meter_id
        and replaced.local_date = roles.local_date
    where roles.open > 0 or replaced.replacements > 0
)

select
    site_id,
    meter_id,
    local_date as first_day,
    lead(local_date - 1, 1, date '9999-12-31') over meter as last_day,
    sum(open) over so_far as open_so_far,
    sum(replacements) over so_far as replacements_so_far
from days
window
    meter as (partition by site_id, meter_id order by local_date),
    so_far as (partition by site_id, meter_id order by local_date rows unbounded preceding)
order by site_id, meter_id, first_day
