{# What the models of closed months share: they have the columns of billing_monthly, whichever those are. #}

{# The columns of a relation that is built, as [[name, type], …]. #}
{% macro columns_of(relation) -%}
    {%- if not execute -%}
        {%- do return([]) -%}
    {%- endif -%}
    {%- set columns = [] -%}
    {%- for row in run_query("describe " ~ relation).rows -%}
        {%- do columns.append([row[0], row[1]]) -%}
    {%- endfor -%}
    {%- do return(columns) -%}
{%- endmacro %}

{# The names of the columns of a relation that is built. #}
{% macro names_in(relation) -%}
    {%- do return(columns_of(relation) | map('first') | list) -%}
{%- endmacro %}

{# For a post-hook: the columns that a model has from `source_model` are described as they are there. #}
{% macro describe_as(source_model) -%}
    {%- if not execute -%}
        {%- do return('') -%}
    {%- endif -%}
    {%- set own = names_in(this.include(database=false)) -%}
    {%- set documented = model.columns -%}
    {%- for node in graph.nodes.values() if node.resource_type == 'model' and node.name == source_model -%}
        {%- for name, column in node.columns.items() if name in own and name not in documented -%}
            comment on column {{ this.include(database=false) }}."{{ name }}" is $description${{ column.description }}$description$;
        {% endfor -%}
    {%- endfor -%}
{%- endmacro %}

{#
  What was known at an instant: for closed months the rows frozen then, for others what the versions of the intervals
  tell. Made again by each build, because its columns are those of billing_monthly.
#}
{% macro create_billing_as_of() -%}
    {%- set kept = [
        'site_id', 'site_name', 'meter_id', 'meter_name', 'meter_type', 'meter_mode', 'is_rule_meter', 'unit',
        'billing_month', 'period_start_utc', 'period_end_utc', 'period_first_day', 'period_last_day', 'index_register',
        'interval_minutes', 'meter_role', 'billing_point', 'is_billed'
    ] -%}
    {%- set counted = [
        'total', 'solar', 'grid', 'intervals_present', 'intervals_null', 'intervals_negative'
    ] -%}
    {%- set reason = "as_known_then: not closed at that instant; sums and counts are of the intervals known then, all else is not" -%}
    {%- set without_detail = "not_published: not closed at that instant, and this file holds no intervals of the month (CLIMKIT_PUBLISH_MONTHS), so what was known then is not told" -%}
    create or replace macro main.billing_as_of(instant) as table (
        with

        frozen as (
            select {% for name, type in columns_of(ref('billing_monthly')) %}"{{ name }}"{{ ', ' if not loop.last }}{% endfor %}
            from main.billing_closed_versions
            where
                valid_from_utc <= instant::timestamptz
                and (valid_until_utc is null or valid_until_utc > instant::timestamptz)
        ),

        closed_then as (
            select distinct site_id, billing_month from frozen
        ),

        -- The days that billing_monthly adds up: in service, and not excluded.
        counted_days as (
            select site_id, meter_id, local_date, billing_month
            from main.billing_days
            qualify not is_excluded or bool_and(is_excluded) over (partition by site_id, meter_id, billing_month)
        ),

        -- Publishing may leave out the intervals of older months.
        published_detail as (
            select max(value)::date as detail_first_day
            from main.about
            where key = 'detail_first_day'
        ),

        known_intervals as (
            select
                intervals.site_id,
                intervals.meter_id,
                days.billing_month,
                case when abs(intervals.total) < 1e8 then intervals.total::decimal(18, 6) end as total,
                case when abs(intervals.solar) < 1e8 then intervals.solar::decimal(18, 6) end as solar,
                case when abs(intervals.grid) < 1e8 then intervals.grid::decimal(18, 6) end as grid
            from main.meter_intervals_as_of(instant) as intervals
            inner join counted_days as days
                on days.site_id = intervals.site_id
                and days.meter_id = intervals.meter_id
                and days.local_date = intervals.local_date
        ),

        known_months as (
            select
                site_id,
                meter_id,
                billing_month,
                sum(total) as total,
                sum(solar) as solar,
                sum(grid) as grid,
                count(total) as intervals_present,
                count(*) - count(total) as intervals_null,
                count(*) filter (where total < 0 or solar < 0 or grid < 0) as intervals_negative
            from known_intervals
            group by site_id, meter_id, billing_month
        ),

        open_months as (
            select
                {% for name, type in columns_of(ref('billing_monthly')) -%}
                {%- if name in kept -%}
                billing."{{ name }}"
                {%- elif name in ['solar', 'grid'] -%}
                case
                    when billing.meter_mode = 'consumption' and billing.meter_type in ('electricity', 'charge_point')
                        then known."{{ name }}"
                end::{{ type }}
                {%- elif name.startswith('intervals_') and name in counted -%}
                case
                    when billing.billing_month < published_detail.detail_first_day then null
                    else coalesce(known."{{ name }}", 0)
                end::{{ type }}
                {%- elif name in counted -%}
                known."{{ name }}"::{{ type }}
                {%- elif name == 'reasons' -%}
                [case
                    when billing.billing_month < published_detail.detail_first_day then '{{ without_detail }}'
                    else '{{ reason }}'
                end]
                {%- else -%}
                null::{{ type }}
                {%- endif %} as "{{ name }}"{{ ',' if not loop.last }}
                {% endfor %}
            from main.billing_monthly as billing
            cross join published_detail
            left join known_months as known
                on known.site_id = billing.site_id
                and known.meter_id = billing.meter_id
                and known.billing_month = billing.billing_month
            left join closed_then
                on closed_then.site_id = billing.site_id
                and closed_then.billing_month = billing.billing_month
            where closed_then.site_id is null and billing.period_start_utc < instant::timestamptz
        )

        select * from frozen
        union all
        select * from open_months
    );
    comment on macro table main.billing_as_of is
        'billing_monthly as known at an instant: months that were closed then exactly as frozen, the version in force then (the first one from the instant on up to which its data reach, see billing_closings); of months open then the sums and counts of the interval values known then, grade null, all else null (all of it where CLIMKIT_PUBLISH_MONTHS left their intervals out: the reason says so). In a file that is attached: set search_path = ''<its name>,memory'' first.';
{%- endmacro %}

{# The interval values that were current at an instant. #}
{% macro create_meter_intervals_as_of() -%}
    create or replace macro main.meter_intervals_as_of(instant) as table (
        select
            site_id, meter_id, interval_start_utc, interval_end_utc, total, solar, grid, fetched_at_utc, local_date
        from main.meter_intervals
        where fetched_at_utc <= instant::timestamptz
        union all
        select
            site_id, meter_id, interval_start_utc, interval_end_utc, total, solar, grid, fetched_at_utc, local_date
        from main.meter_intervals_superseded
        where fetched_at_utc <= instant::timestamptz and superseded_at_utc > instant::timestamptz
    );
    comment on macro table main.meter_intervals_as_of is
        'meter_intervals as known at an instant: of every interval the values that were current then. In a file that is attached: set search_path = ''<its name>,memory'' first.';
{%- endmacro %}
