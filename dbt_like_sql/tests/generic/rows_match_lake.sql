{# Each changed day of a table holds as many rows as the lake has current rows of that day. #}
{% test rows_match_lake(model, dataset) %}
    with

    in_lake as (
        select local_date, count(*) as lake_rows
        from {{ source('climkit', dataset) }}
        where superseded_at_utc is null and {{ is_of_changed_day([dataset]) }}
        group by local_date
    ),

    in_table as (
        select local_date, count(*) as table_rows
        from {{ model }}
        where {{ is_of_changed_day([dataset]) }}
        group by local_date
    )

    select *
    from in_lake
    full join in_table using (local_date)
    where lake_rows is distinct from table_rows
{% endtest %}
