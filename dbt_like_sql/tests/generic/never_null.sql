{# None of `columns` is null in the rows of the changed days. #}
{% test never_null(model, columns, datasets=none, file='data') %}
    select {{ columns | join(', ') }}
    from {{ model }}
    where
        ({% for column in columns %}{{ column }} is null {{ 'or ' if not loop.last }}{% endfor %})
        {% if datasets %}and {{ changed_days_condition(datasets, file) }}{% endif %}
{% endtest %}
