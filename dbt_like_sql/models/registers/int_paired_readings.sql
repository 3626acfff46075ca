{{ config(materialized='by_day') }}

-- Two readings of one instant: at an exchange of the device, what the old one closed with and the new one opened with.
-- The one that is nearer to the reading before is the closing one.
with

pairs as (
    select
        site_id,
        meter_id,
        local_date,
        read_at_utc
    from {{ ref('meter_indices') }}
    group by site_id, meter_id, local_date, read_at_utc
    having count(*) > 1
),

-- A reading that opens the day has the one before it in the day before.
readings_before as (
    select
        pairs.*,
        {% for column in ['index_import_kwh', 'index_export_kwh', 'heat_kwh', 'volume_m3'] -%}
        arg_max(readings.{{ column }}, readings.read_at_utc) as {{ column }}{{ ',' if not loop.last }}
        {% endfor -%}
    from pairs
    left join (
        select * from {{ ref('meter_indices') }}
        where local_date between {{ built_from() }} - 1 and {{ built_until() }}
    ) as readings
        on readings.site_id = pairs.site_id
        and readings.meter_id = pairs.meter_id
        and readings.local_date between pairs.local_date - 1 and pairs.local_date
        and readings.read_at_utc < pairs.read_at_utc
    group by all
)

select
    site_id,
    meter_id,
    local_date,
    read_at_utc,
    arg_min(
        {
            'import': readings.index_import_kwh, 'export': readings.index_export_kwh, 'heat': readings.heat_kwh,
            'volume': readings.volume_m3
        },
        {% for column in ['index_import_kwh', 'index_export_kwh', 'heat_kwh', 'volume_m3'] -%}
        coalesce(abs(readings.{{ column }} - before.{{ column }}), 0){{ ' + ' if not loop.last }}
        {%- endfor %}
    ) as closing
from {{ ref('meter_indices') }} as readings
inner join readings_before as before using (site_id, meter_id, local_date, read_at_utc)
group by site_id, meter_id, local_date, read_at_utc
