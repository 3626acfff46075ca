{{ config(
    materialized='incremental',
    incremental_strategy='append',
    pre_hook="{{ delete_days_to_build(['meter_indices'], 'data', ['zone']) }}"
) }}

with

versions as (
    select * from {{ ref('stg_climkit__meter_indices') }}
    where {{ days_to_build(['meter_indices'], 'data', ['zone']) }}
),

meters as (
    select * from {{ ref('int_meters') }}
),

calendar as (
    select * from {{ ref('calendar_days') }}
),

-- The reading at midnight belongs to the day that it closes.
final as (
    select
        versions.site_id,
        versions.meter_id,
        versions.local_date,
        calendar.billing_month,
        meters.zone,
        versions.read_at_utc,
        {% for register in ['index_import_kwh', 'index_export_kwh', 'heat_kwh', 'volume_m3'] %}
        try_cast(versions.{{ register }} as decimal(18, 6)) as {{ register }},
        {% endfor %}
        versions.fetched_at_utc
    from versions
    inner join meters
        on meters.site_id = versions.site_id
        and meters.meter_id = versions.meter_id
    inner join calendar
        on calendar.zone = meters.zone
        and calendar.local_date = versions.local_date
        and calendar.day_end_utc = versions.read_at_utc
    where versions.superseded_at_utc is null
    order by calendar.billing_month, versions.site_id, versions.meter_id, versions.local_date
)

select * from final
