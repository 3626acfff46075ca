{{ config(watch="date_trunc('month', silent_from)::date as billing_month, *") }}

-- What is said of the last day before it looks at the first one after, however late that is.
select
    site_id,
    meter_id,
    register,
    date_before as silent_from,
    local_date as silent_until
from {{ ref('int_register_links') }}
where local_date - date_before > 40
order by site_id, meter_id, register, silent_until
