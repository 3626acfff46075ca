-- One reading an instant, or two at an exchange of the device: a closing and an opening index. Only changed days.
select
    site_id,
    meter_id,
    read_at_utc
from {{ ref('meter_indices') }}
where {{ is_of_changed_day(['meter_indices']) }}
group by site_id, meter_id, read_at_utc
having
    count(*) > 2
    or count(*) > count(distinct {
        'import': index_import_kwh, 'export': index_export_kwh, 'heat': heat_kwh, 'volume': volume_m3
    })
