{# Instants lie on the grid of quarter-hours. #}
{% test on_quarter_hours(model, column_name, dataset) %}
    select
        site_id,
        local_date,
        count(*) as rows_found
    from {{ model }}
    where {{ is_of_changed_day([dataset]) }} and epoch_us({{ column_name }}) % 900000000 <> 0
    group by site_id, local_date
{% endtest %}
