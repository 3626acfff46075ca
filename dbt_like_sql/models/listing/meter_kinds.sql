{{ config(watch="site_id, meter_id, first_day, last_day, meter_type, meter_mode, is_rule_meter") }}

with

compared as (
    select
        site_id,
        meter_id,
        local_date,
        meter_type,
        meter_mode,
        is_rule_meter,
        (meter_type, meter_mode, is_rule_meter) is distinct from lag((meter_type, meter_mode, is_rule_meter)) over life
            as is_change,
        row_number() over life = 1 as is_first
    from {{ ref('int_listed_meters_daily') }}
    window life as (partition by site_id, meter_id order by local_date)
)

-- Before it was ever listed, a meter was what it was listed as first.
select
    site_id,
    meter_id,
    case when is_first then date '1900-01-01' else local_date end as first_day,
    coalesce(
        lead(local_date) over (partition by site_id, meter_id order by local_date) - 1, date '9999-12-31'
    ) as last_day,
    meter_type,
    meter_mode,
    is_rule_meter
from compared
where is_change
