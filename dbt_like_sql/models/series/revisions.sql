{{ config(order_by="dataset, site_id, subject_id, interval_start_utc, revised_at_utc, quantity") }}

with

-- Only keys of which a version was superseded: a window over every row would cost as much as all other models together.
meter_intervals_revised as (
    select versions.*
    from {{ source('climkit', 'meter_intervals') }} as versions
    semi join (
        select * from {{ source('climkit', 'meter_intervals') }}
        where superseded_at_utc is not null and {{ is_being_built() }}
    ) as superseded
        using (local_date, site_id, meter_id, interval_start_utc)
),

site_intervals_revised as (
    select versions.*
    from {{ source('climkit', 'site_intervals') }} as versions
    semi join (
        select * from {{ source('climkit', 'site_intervals') }}
        where superseded_at_utc is not null and {{ is_being_built() }}
    ) as superseded
        using (local_date, site_id, meter_type, interval_start_utc)
),

meter_indices_revised as (
    select versions.*
    from {{ source('climkit', 'meter_indices') }} as versions
    semi join (
        select * from {{ source('climkit', 'meter_indices') }}
        where superseded_at_utc is not null and {{ is_being_built() }}
    ) as superseded
        using (local_date, site_id, meter_id, read_at_utc)
),

stated as (
    select
        'meter_intervals' as dataset, site_id, meter_id as subject_id, interval_start_utc, interval_end_utc,
        fetched_at_utc, superseded_at_utc, local_date, quantity, stated_value
    from meter_intervals_revised
    unpivot include nulls (stated_value for quantity in (total, solar, grid))
    union all
    select
        'site_intervals', site_id, meter_type, interval_start_utc, interval_end_utc, fetched_at_utc, superseded_at_utc,
        local_date, quantity, stated_value
    from site_intervals_revised
    unpivot include nulls (
        stated_value for quantity in (
            consumption, production, grid_import, self_consumption, grid_export, storage_charge, storage_discharge
        )
    )
    union all
    select
        'meter_indices', site_id, meter_id, read_at_utc, read_at_utc, fetched_at_utc, superseded_at_utc, local_date,
        quantity, stated_value
    from meter_indices_revised
    unpivot include nulls (
        stated_value for quantity in (index_import_kwh, index_export_kwh, heat_kwh, volume_m3)
    )
),

followed as (
    select
        *,
        lead(stated_value) over versions as next_value,
        lead(fetched_at_utc) over versions is not distinct from superseded_at_utc as has_successor
    from stated
    window versions as (
        partition by local_date, dataset, site_id, subject_id, interval_start_utc, quantity
        order by superseded_at_utc nulls last, fetched_at_utc
    )
)

select
    dataset,
    site_id,
    subject_id,
    interval_start_utc,
    interval_end_utc,
    quantity,
    stated_value as old_value,
    case when has_successor then next_value end as new_value,
    case
        when not has_successor then 'withdrawn'
        when next_value is null then 'nulled'
        when stated_value is null then 'filled'
        else 'changed'
    end as kind,
    fetched_at_utc as first_seen_at_utc,
    superseded_at_utc as revised_at_utc,
    local_date
from followed
where
    superseded_at_utc is not null
    and stated_value is distinct from case when has_successor then next_value end
