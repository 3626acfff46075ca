{{ config(materialized='by_day') }}

-- What each column of a meter's readings showed of a day, to find the few days on which one is off its line.
with

readings as (
    select
        site_id,
        meter_id,
        local_date,
        read_at_utc,
        {{ index_of('index_import_kwh') }} as import,
        {{ index_of('index_export_kwh') }} as export,
        {{ index_of('heat_kwh') }} as heat,
        {{ index_of('volume_m3') }} as volume
    from {{ ref('meter_indices') }}
),

bounds as (
    select
        site_id,
        meter_id,
        local_date,
        {% for register in ['import', 'export', 'heat', 'volume'] -%}
        case when count({{ register }}) > 0 then {
            'lowest': min({{ register }}),
            'highest': max({{ register }}),
            'first': arg_min({{ register }}, read_at_utc),
            'last': arg_max({{ register }}, read_at_utc)
        } end as {{ register }}{{ ',' if not loop.last }}
        {% endfor -%}
    from readings
    group by site_id, meter_id, local_date
)

select
    site_id,
    meter_id,
    register,
    local_date,
    day.lowest as lowest,
    day.highest as highest,
    day.first as first_reading,
    day.last as last_reading
from bounds unpivot (day for register in (import, export, heat, volume))
-- The export register of a meter that only consumes stands at 0.
where day.highest > 0 or register in ('heat', 'volume', 'import')
