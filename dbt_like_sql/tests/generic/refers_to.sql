{# Every combination of `columns` of the changed days is found in table `to`. #}
{% test refers_to(model, columns, to, datasets=none) %}
    select distinct {{ columns | join(', ') }}
    from {{ model }}
    anti join {{ to }} using ({{ columns | join(', ') }})
    where {{ is_of_changed_day(datasets) }}
{% endtest %}
