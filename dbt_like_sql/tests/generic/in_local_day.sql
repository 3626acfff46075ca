{#
  A row's `local_date` is the day that its instant belongs to in its site's zone: an interval's start lies in
  [midnight, midnight), a reading in (midnight, midnight].
#}
{% test in_local_day(model, column_name, dataset, is_reading=false) %}
    with

    site_days as (
        select
            zones.site_id,
            calendar.local_date,
            calendar.day_start_utc,
            calendar.day_end_utc
        from {{ ref('int_site_zones') }} as zones
        inner join {{ ref('calendar_days') }} as calendar on calendar.zone = zones.zone
    )

    select
        found.site_id,
        found.local_date,
        count(*) as rows_found
    from {{ model }} as found
    left join site_days using (site_id, local_date)
    where
        {{ changed_days_condition([dataset], column='found.local_date') }}
        and not coalesce(
            {% if is_reading %}
            found.{{ column_name }} > site_days.day_start_utc and found.{{ column_name }} <= site_days.day_end_utc
            {% else %}
            found.{{ column_name }} >= site_days.day_start_utc and found.{{ column_name }} < site_days.day_end_utc
            {% endif %},
            false
        )
    group by found.site_id, found.local_date
{% endtest %}
