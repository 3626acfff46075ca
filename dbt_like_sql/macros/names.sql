{# For dbt alone: the schemas that Python builds in (climkit_pipeline/warehouse/project.py). #}
{% macro generate_schema_name(custom_schema_name, node) -%}
    {%- if node.resource_type == 'seed' or node.name.startswith('int_') -%} intermediate
    {%- elif node.fqn[1] == 'analysis' -%} analysis
    {%- else -%} {{ target.schema }}
    {%- endif -%}
{%- endmacro %}
