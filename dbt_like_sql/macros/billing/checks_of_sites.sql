{# CTEs down to `site_rows`: what only the sums of a whole site can show. #}
{% macro checks_of_sites() -%}
-- What only the site as a whole can show, complete periods alone.
consumer_sums as (
    select
        measures.site_id,
        measures.period_from,
        sum(measures.total) filter (where measures.meter_type = 'electricity') as electricity,
        sum(measures.total) as all_consumption,
        max(measures.step) as step,
        count(*) as meters,
        bool_and(
            measures.intervals_missing + measures.intervals_null = 0
            and (measures.days_excluded = 0 or measures.is_excluded)
        ) as is_whole
    from measures
    where measures.has_split and not measures.is_rule_meter
    group by measures.site_id, measures.period_from
),

production_sums as (
    select
        site_id,
        period_from,
        sum(index_advance) as production,
        max(step) as step,
        bool_and(index_advance is not null and (days_excluded = 0 or is_excluded)) as is_whole
    from measures
    where meter_type = 'electricity' and meter_mode = 'production' and not is_rule_meter
    group by site_id, period_from
),

site_series as (
    select
        site_id,
        period_from,
        sum(consumption)::decimal(18, 6) as consumption,
        sum(production)::decimal(18, 6) as production,
        bool_and(coalesce(intervals_present = intervals_expected, false)) as is_whole,
        count(*) as days
    from site_period_days
    where meter_type = 'electricity'
    group by site_id, period_from
),

site_periods as (
    select
        site_id,
        period_from,
        period_until,
        max(days_over) as days_over,
        bool_and(is_over) as is_over
    from measures
    group by site_id, period_from, period_until
),

whole_series as (
    select
        site_series.*,
        site_periods.period_until
    from site_series
    inner join site_periods
        on site_periods.site_id = site_series.site_id
        and site_periods.period_from = site_series.period_from
        and site_periods.is_over
        and site_periods.days_over = site_series.days
    where site_series.is_whole
),

site_measured as (
    select
        whole_series.site_id,
        whole_series.period_from,
        whole_series.period_until,
        'site_sum' as check_name,
        least(
            abs(whole_series.consumption - consumer_sums.electricity),
            abs(whole_series.consumption - consumer_sums.all_consumption)
        ) as difference,
        whole_series.consumption as stated,
        consumer_sums.all_consumption as found,
        2 * coalesce(consumer_sums.step, 0.001) * consumer_sums.meters as allowed
    from whole_series
    inner join consumer_sums
        on consumer_sums.site_id = whole_series.site_id
        and consumer_sums.period_from = whole_series.period_from
    where consumer_sums.is_whole
    union all
    select
        whole_series.site_id,
        whole_series.period_from,
        whole_series.period_until,
        'production_index',
        abs(whole_series.production - production_sums.production),
        whole_series.production,
        production_sums.production,
        2 * coalesce(greatest(production_sums.step, consumer_sums.step), 0.001) * (coalesce(consumer_sums.meters, 0) + 2)
    from whole_series
    inner join production_sums
        on production_sums.site_id = whole_series.site_id
        and production_sums.period_from = whole_series.period_from
    left join consumer_sums
        on consumer_sums.site_id = whole_series.site_id
        and consumer_sums.period_from = whole_series.period_from
    where production_sums.is_whole
),

site_rows as (
    select
        checks.check_name,
        site_measured.site_id,
        null::varchar as meter_id,
        site_measured.period_from,
        site_measured.period_until,
        checks.severity,
        case
            when site_measured.difference <= site_measured.allowed then 0
            else least(site_measured.difference / greatest(abs(site_measured.stated), 0.000001), 1000000)
        end::decimal(18, 6) as measured,
        checks.tolerance,
        checks.tolerance_unit,
        site_measured.difference <= greatest(site_measured.allowed, abs(site_measured.stated) * checks.tolerance)
            as passed,
        'the site states ' || {{ quantity_of('site_measured.stated', "'kWh'") }} || ', its meters add up to '
        || {{ quantity_of('site_measured.found', "'kWh'") }} as reason
    from site_measured
    inner join {{ ref('data_quality_checks') }} as checks on checks.check_name = site_measured.check_name
)
{%- endmacro %}
