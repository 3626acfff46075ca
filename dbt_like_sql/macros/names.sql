{# For dbt alone: the schemas that Python builds in (climkit_pipeline/warehouse/project.py). #}
{% macro generate_schema_name(custom_schema_name, node) -%}
    {{ 'intermediate' if node.resource_type == 'seed' or node.name.startswith('int_') else target.schema }}
{%- endmacro %}
