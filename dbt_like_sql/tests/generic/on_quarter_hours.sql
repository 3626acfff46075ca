{# Instants lie on the grid of quarter-hours. #}
{% test on_quarter_hours(model, column_name, dataset) %}
    select
        site_id,
        local_date,
        count(*) as rows_found
    from {{ model }}
    where {{ changed_days_condition([dataset]) }} and epoch_us({{ column_name }}) % 900000000 <> 0
    group by site_id, local_date
{% endtest %}
