{#
  Whether a row is of a local day whose files changed in one of `datasets` (nothing named: every row). Of a full build,
  the newest 45 days: a test of every row of all years takes as long as the build, for rows that are the lake's own.
#}
{% macro is_of_changed_day(datasets, column='local_date') -%}
    {%- if datasets -%}
    {{ column }} in (
        select changed.local_date
        from {{ source('pipeline', 'changed_days') }} as changed
        where
            changed.local_date > (select max(newest.local_date) - 45 from {{ source('pipeline', 'changed_days') }} as newest)
            {% if datasets != 'all' %}and changed.dataset in ('{{ datasets | join("', '") }}'){% endif %}
    )
    {%- else -%}
    true
    {%- endif -%}
{%- endmacro %}
