{% set series = {
    'meter_intervals': {
        'subject': 'meter_id', 'start': 'interval_start_utc', 'end': 'interval_end_utc',
        'quantities': ['total', 'solar', 'grid'],
    },
    'site_intervals': {
        'subject': 'meter_type', 'start': 'interval_start_utc', 'end': 'interval_end_utc',
        'quantities': [
            'consumption', 'production', 'grid_import', 'self_consumption', 'grid_export', 'storage_charge',
            'storage_discharge'
        ],
    },
    'meter_indices': {
        'subject': 'meter_id', 'start': 'read_at_utc', 'end': 'read_at_utc',
        'quantities': ['index_import_kwh', 'index_export_kwh', 'heat_kwh', 'volume_m3'],
    },
} %}
{% set datasets = series.keys() | list %}
{{ config(
    materialized='incremental',
    incremental_strategy='append',
    pre_hook="{{ delete_days_to_build(['meter_intervals', 'site_intervals', 'meter_indices']) }}"
) }}

with

{% for dataset, columns in series.items() %}
{{ dataset }}_versions as (
    select * from {{ ref('stg_climkit__' ~ dataset) }}
    where {{ days_to_build(datasets) }}
),

{{ dataset }}_closed as (
    select distinct local_date, site_id, {{ columns.subject }}, {{ columns.start }}
    from {{ dataset }}_versions
    where superseded_at_utc is not null
),

-- Only keys that something closed: a window over every row would cost as much as all other models together.
{{ dataset }}_successions as (
    select
        versions.*,
        lead(versions.fetched_at_utc) over in_order is not distinct from versions.superseded_at_utc as has_successor,
        {% for quantity in columns.quantities %}
        lead(versions.{{ quantity }}) over in_order as next_{{ quantity }}{{ ',' if not loop.last }}
        {% endfor %}
    from {{ dataset }}_versions as versions
    semi join {{ dataset }}_closed as closed
        on closed.local_date = versions.local_date
        and closed.site_id = versions.site_id
        and closed.{{ columns.subject }} = versions.{{ columns.subject }}
        and closed.{{ columns.start }} = versions.{{ columns.start }}
    window in_order as (
        partition by versions.local_date, versions.site_id, versions.{{ columns.subject }}, versions.{{ columns.start }}
        order by versions.superseded_at_utc nulls last, versions.fetched_at_utc
    )
),
{% endfor %}

quantities as (
    {% for dataset, columns in series.items() %}
    {% set is_last_dataset = loop.last %}
    {% for quantity in columns.quantities %}
    select
        '{{ dataset }}' as dataset,
        site_id,
        {{ columns.subject }} as subject_id,
        {{ columns.start }} as interval_start_utc,
        {{ columns.end }} as interval_end_utc,
        '{{ quantity }}' as quantity,
        {{ quantity }} as old_value,
        case when has_successor then next_{{ quantity }} end as new_value,
        has_successor,
        fetched_at_utc,
        superseded_at_utc,
        local_date
    from {{ dataset }}_successions
    where superseded_at_utc is not null
    {% if not (is_last_dataset and loop.last) %}union all{% endif %}
    {% endfor %}
    {% endfor %}
),

final as (
    select
        dataset,
        site_id,
        subject_id,
        interval_start_utc,
        interval_end_utc,
        quantity,
        old_value,
        new_value,
        case
            when not has_successor then 'withdrawn'
            when new_value is null then 'nulled'
            when old_value is null then 'filled'
            else 'changed'
        end as kind,
        fetched_at_utc as first_seen_at_utc,
        superseded_at_utc as revised_at_utc,
        local_date
    from quantities
    where old_value is distinct from new_value
    order by date_trunc('month', local_date), dataset, site_id, subject_id, interval_start_utc, revised_at_utc, quantity
)

select * from final
