{{ config(
    materialized='table',
    order_by='billing_month, site_id, meter_id',
    watch='billing_month, site_id, meter_id, measured, detail'
) }}
{# kWh or m3 a month: a multiple of less says nothing. #}
{% set least_comparable = 20 %}

-- A quantity that the register confirms is a fact, however different from last year's.
with

comparable as (
    select
        site_id,
        meter_id,
        period_from as billing_month,
        case when intervals_missing + intervals_null = 0 and total >= {{ least_comparable }} then total end as total,
        is_over and index_advance is null as is_unconfirmed,
        {{ quantity_of('total', 'unit') }} as stated
    from {{ ref('meter_month_measures') }}
)

-- A month that cannot be compared has a row, too: once it can be, it is another one, and so it is made again.
select
    'far_from_last_year' as check_name,
    months.site_id,
    months.meter_id,
    months.billing_month,
    case
        when months.is_unconfirmed
            then greatest(months.total / last_year.total, last_year.total / months.total)::decimal(18, 6)
    end as measured,
    case when measured is not null then months.stated || ', the same month last year ' || last_year.stated end as detail
from comparable as months
left join comparable as last_year
    on last_year.site_id = months.site_id
    and last_year.meter_id = months.meter_id
    and last_year.billing_month = months.billing_month - interval 1 year
