{# CTEs down to `read_steps`: what registers were read as inside and around a period, over days that follow each other. #}
{% macro steps_of_readings() -%}
-- Days that follow each other: over days that dropped out, no step between readings is compared.
stretches as (
    select
        * exclude (is_first),
        sum(is_first) over (
            partition by site_id, meter_id, period_from order by local_date rows unbounded preceding
        ) as stretch
    from (
        select
            *,
            case
                when lag(local_date) over (partition by site_id, meter_id, period_from order by local_date)
                    = local_date - 1
                    then 0
                else 1
            end as is_first
        from counted_days
    ) as days
),

steps_of_days as (
    select
        *,
        min(day_start_utc) over (partition by site_id, meter_id, period_from, stretch) as stretch_start_utc,
        max(day_end_utc) over (partition by site_id, meter_id, period_from, stretch) as stretch_end_utc
    from stretches
),

-- What the readings say, wherever in the period they are: from its first to its last, and from the last before it to the
-- first after it.
outermost as (
    select
        site_id,
        meter_id,
        period_from,
        sum(coalesce(steps.apart_within, 0)) + coalesce(
            sum(steps.apart_since) filter (where steps.before_at_utc >= stretch_start_utc), 0
        ) as apart_inside,
        coalesce(sum(steps.open_at_first + steps.open_at_last) filter (
            where steps.apart_within is null or (steps.apart_since is null and steps.before_at_utc is not null)
        ), 0) as open_inside,
        min_by({'steps': steps, 'stretch_start_utc': stretch_start_utc}, local_date)
            filter (where steps.first_at_utc is not null) as first_read,
        max_by({'steps': steps, 'stretch_end_utc': stretch_end_utc}, local_date)
            filter (where steps.last_at_utc is not null) as last_read
    from steps_of_days
    where steps.last_at_utc is not null
    group by site_id, meter_id, period_from
),

read_steps as (
    select
        site_id,
        meter_id,
        period_from,
        case when first_read is not null then apart_inside end as apart_inside,
        open_inside,
        coalesce(first_read.steps.open_at_first, 0) as open_at_first,
        coalesce(last_read.steps.open_at_last, 0) as open_at_last,
        coalesce(last_read.steps.open_at_next, 0) as open_at_next,
        first_read.steps.before_at_utc < first_read.stretch_start_utc as is_read_before,
        last_read.steps.last_at_utc < last_read.stretch_end_utc as is_read_after,
        first_read.steps.apart_since as apart_before,
        first_read.steps.counted_since as counted_before,
        last_read.steps.apart_next as apart_after,
        last_read.steps.counted_next as counted_after
    from outermost
)
{%- endmacro %}
