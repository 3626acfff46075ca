{{ config(
    materialized='table',
    order_by='billing_month, site_id, meter_id',
    watch='billing_month, site_id, meter_id, measured, detail'
) }}

with

newest as (
    select *
    from {{ ref('stated_months') }}
    qualify row_number() over (partition by site_id, meter_id, billing_month order by stated_at_utc desc) = 1
),

whole_months as (
    select
        site_id,
        meter_id,
        period_from as billing_month,
        unit,
        case when is_over and intervals_missing + intervals_null = 0 then total end as total
    from {{ ref('meter_month_measures') }}
)

-- A month that cannot be compared has a row, too: once it can be, it is another one, and so it is made again.
select
    'stated_month' as check_name,
    months.site_id,
    months.meter_id,
    months.billing_month,
    abs(newest.total - months.total)::decimal(18, 6) as measured,
    case
        when measured is not null
            then
                {{ quantity_of('newest.total', 'months.unit') }}
                || ', and its intervals add up to ' || {{ quantity_of('months.total', 'months.unit') }}
    end as detail
from whole_months as months
left join newest using (site_id, meter_id, billing_month)
