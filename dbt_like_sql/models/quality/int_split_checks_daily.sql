{{ config(materialized='view') }}
{# kWh a day: an even solar share of coarse indices is rounded by some of this. #}
{% set notable_uneven_solar = 0.05 %}

-- How the provider shared the energy of a site.
with

days as (
    select
        *,
        intervals_missing + intervals_null as intervals_lacking
    from {{ ref('int_asked_days') }}
),

split_days as (
    select
        days.*,
        splits.grid_without_import,
        splits.uneven_solar
    from days
    left join {{ ref('int_splits_daily') }} as splits using (site_id, meter_id, local_date)
    where days.has_split
),

lacking as (
    select
        days.site_id,
        days.meter_id,
        days.local_date,
        days.billing_month,
        days.intervals_lacking,
        coalesce(meters.meter_name, days.meter_id) as name
    from days
    left join {{ ref('meters') }} as meters using (site_id, meter_id)
    where
        days.is_in_split
        and not days.is_rule_meter
        and days.coverage_state in ('complete', 'gap')
        and days.intervals_lacking > 0
),

lacking_siblings as (
    select
        split_days.site_id,
        split_days.meter_id,
        split_days.local_date,
        split_days.billing_month,
        max(lacking.intervals_lacking) as intervals_lacking,
        string_agg(lacking.name, ', ' order by lacking.meter_id) as names
    from split_days
    inner join lacking
        on lacking.site_id = split_days.site_id
        and lacking.local_date = split_days.local_date
        and lacking.billing_month = split_days.billing_month
        and lacking.meter_id <> split_days.meter_id
    where split_days.intervals_present > 0
    group by split_days.site_id, split_days.meter_id, split_days.local_date, split_days.billing_month
)

select
    'without_split' as check_name, site_id, meter_id, local_date, billing_month,
    intervals_without_split::double as measured, null as detail
from split_days
union all
select 'split_adds_up', site_id, meter_id, local_date, billing_month, split_error, null
from split_days
union all
select 'grid_without_import', site_id, meter_id, local_date, billing_month, grid_without_import, null
from split_days
union all
select
    'equal_autonomy', site_id, meter_id, local_date, billing_month, uneven_solar / nullif(abs(total), 0), null
from split_days
where uneven_solar > {{ notable_uneven_solar }}
union all
select 'missing_sibling', site_id, meter_id, local_date, billing_month, intervals_lacking, names
from lacking_siblings
union all
select 'site_balance', site_id, null, local_date, billing_month, balance_error, null
from {{ ref('site_days') }}
where meter_type = 'electricity'
