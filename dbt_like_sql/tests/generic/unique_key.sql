{#
  No two rows share the values of `columns`, none of which is null. With `datasets`, only rows of the days that changed
  are looked at (all of them after a full build): a refresh must not cost more every year.
#}
{% test unique_key(model, columns, datasets=none) %}
    select
        {{ columns | join(', ') }},
        count(*) as rows_found
    from {{ model }}
    where {{ is_of_changed_day(datasets) }}
    group by {{ columns | join(', ') }}
    having count(*) > 1 {% for column in columns %}or {{ column }} is null {% endfor %}
{% endtest %}
