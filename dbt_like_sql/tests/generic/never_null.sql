{# None of `columns` is null in the rows of the changed days. #}
{% test never_null(model, columns, datasets=none) %}
    select {{ columns | join(', ') }}
    from {{ model }}
    where
        ({% for column in columns %}{{ column }} is null {{ 'or ' if not loop.last }}{% endfor %})
        and {{ is_of_changed_day(datasets) }}
{% endtest %}
