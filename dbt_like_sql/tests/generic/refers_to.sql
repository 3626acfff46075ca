{# Every combination of `columns` of the changed days is found in table `to`. #}
{% test refers_to(model, columns, to, datasets=none, file='data') %}
    select distinct {{ columns | join(', ') }}
    from {{ model }}
    anti join {{ to }} using ({{ columns | join(', ') }})
    {% if datasets %}where {{ changed_days_condition(datasets, file) }}{% endif %}
{% endtest %}
