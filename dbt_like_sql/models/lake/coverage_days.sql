{% set datasets = [
    'sites', 'meters', 'sensors', 'site_intervals', 'meter_intervals', 'meter_indices', 'sensor_readings'
] %}

with

coverage as (
    {% for dataset in datasets %}
    select '{{ dataset }}' as dataset, * from {{ source('climkit', dataset ~ '_coverage') }}
    {{ 'union all by name' if not loop.last }}
    {% endfor %}
)

select
    dataset,
    site_id,
    subject_id,
    local_date,
    state,
    interval_minutes,
    expected,
    received,
    gaps,
    equal_answers,
    equal_after_month,
    first_asked_at_utc,
    last_asked_at_utc,
    last_changed_at_utc,
    detail
from coverage
