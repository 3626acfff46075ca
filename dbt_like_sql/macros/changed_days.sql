{#
  What an incremental model refreshes: the local days whose files changed since the last build, as Python found them.
  `datasets` are the ones the model reads, or 'all'; `file` says which file of a day matters to it (`data`, `coverage`,
  or `any`).
#}

{#
  A condition on `column` that holds for the changed days. Days are rendered as literals, so that DuckDB opens only the
  files of these days (with a join it would open those of all days that changed in any dataset).
#}
{% macro changed_days_condition(datasets, file='data', column='local_date') -%}
    {%- if not execute -%}
        {%- do return('true') -%}
    {%- endif -%}
    {%- set flag = {
        'data': 'is_data_changed', 'coverage': 'is_coverage_changed', 'any': 'is_data_changed or is_coverage_changed'
    }[file] -%}
    {%- set query -%}
        select distinct local_date::varchar as changed_day
        from {{ source('pipeline', 'changed_days') }}
        where
            ({{ flag }})
            {% if datasets != 'all' %}and dataset in ('{{ datasets | join("', '") }}'){% endif %}
        order by changed_day
    {%- endset -%}
    {%- set days = run_query(query).columns[0].values() | map('string') | list -%}
    {%- if days | length == 0 -%}
        {%- do return('false') -%}
    {%- endif -%}
    {%- do return(column ~ " in (date '" ~ days | join("', date '") ~ "')") -%}
{%- endmacro %}

{# The condition for the rows that a model computes now: all on a first or full build, else those of changed days. #}
{% macro days_to_build(datasets, file='data', column='local_date') -%}
    {%- if is_incremental() -%}
        {%- do return(changed_days_condition(datasets, file, column)) -%}
    {%- endif -%}
    {%- do return('true') -%}
{%- endmacro %}

{# For a pre-hook: removes what the model will compute again, so that a day which became empty is emptied. #}
{% macro delete_days_to_build(datasets, file='data', column='local_date') -%}
    {%- if is_incremental() -%}
        delete from {{ this }} where {{ days_to_build(datasets, file, column) }}
    {%- endif -%}
{%- endmacro %}
