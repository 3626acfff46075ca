{#
  A row's `local_date` is the day that its instant belongs to in its site's zone: an interval's start lies in
  [midnight, midnight), a reading in (midnight, midnight].
#}
{% test in_local_day(model, column_name, dataset, is_reading=false) %}
    select
        found.site_id,
        found.local_date,
        count(*) as rows_found
    from {{ model }} as found
    left join {{ ref('int_site_calendar') }} as calendar using (site_id, local_date)
    where
        {{ is_of_changed_day([dataset], column='found.local_date') }}
        and not coalesce(
            {% if is_reading %}
            found.{{ column_name }} > calendar.day_start_utc and found.{{ column_name }} <= calendar.day_end_utc
            {% else %}
            found.{{ column_name }} >= calendar.day_start_utc and found.{{ column_name }} < calendar.day_end_utc
            {% endif %},
            false
        )
    group by found.site_id, found.local_date
{% endtest %}
