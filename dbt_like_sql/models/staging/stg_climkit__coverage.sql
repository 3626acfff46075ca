with

coverage_of_days as (
    {% for dataset in [
        'sites', 'meters', 'sensors', 'site_intervals', 'meter_intervals', 'meter_indices', 'sensor_readings'
    ] %}
    select '{{ dataset }}' as dataset, * from {{ source('climkit', dataset ~ '_coverage') }}
    {% if not loop.last %}union all by name{% endif %}
    {% endfor %}
),

final as (
    select
        dataset,
        site_id,
        subject_id,
        first_asked_at_utc,
        last_asked_at_utc,
        last_changed_at_utc,
        interval_minutes,
        expected,
        received,
        state,
        gaps,
        equal_answers,
        equal_after_month,
        detail,
        day as local_date
    from coverage_of_days
)

select * from final
