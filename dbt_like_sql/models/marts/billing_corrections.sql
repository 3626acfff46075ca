{% set quantities = invoiced_quantities().split() %}
{% set of_intervals = "('" ~ quantities_of_intervals().split() | join("', '") ~ "')" %}

with

billing as (
    select * from {{ ref('billing_monthly') }}
),

closed as (
    select * from {{ ref('billing_closed') }}
),

closings as (
    select * from {{ ref('billing_closings') }}
    where is_closed
),

inputs as (
    select * from {{ ref('int_inputs_monthly') }}
),

seen as (
    select * from {{ source('pipeline', 'corrections_seen') }}
),

meter_intervals as (
    select * from {{ ref('meter_intervals') }}
),

superseded as (
    select * from {{ ref('meter_intervals_superseded') }}
),

site_intervals as (
    select * from {{ ref('site_intervals') }}
),

readings as (
    select * from {{ ref('meter_indices') }}
),

revisions as (
    select * from {{ ref('revisions') }}
),

current_rows as (
    select
        billing.*,
        inputs.inputs_hash,
        inputs.inputs_hash_of_totals,
        inputs.is_excluded
    from billing
    semi join closings using (site_id, billing_month)
    left join inputs using (site_id, meter_id, billing_month)
),

-- A meter may have come to light, or vanished, since the month was closed. What is excluded is billed as nothing.
paired as (
    select
        coalesce(closed.site_id, current_rows.site_id) as site_id,
        coalesce(closed.meter_id, current_rows.meter_id) as meter_id,
        coalesce(closed.billing_month, current_rows.billing_month) as billing_month,
        coalesce(current_rows.site_name, closed.site_name) as site_name,
        coalesce(current_rows.meter_name, closed.meter_name) as meter_name,
        coalesce(current_rows.unit, closed.unit) as unit,
        current_rows.grade as current_grade,
        coalesce(current_rows.period_start_utc, closed.period_start_utc) as period_start_utc,
        coalesce(current_rows.period_end_utc, closed.period_end_utc) as period_end_utc,
        [closed.flow_source, current_rows.flow_source] as flow_sources,
        closed.is_billed as was_billed,
        current_rows.is_billed,
        closed.inputs_hash as closed_inputs_hash,
        current_rows.inputs_hash,
        current_rows.inputs_hash_of_totals,
        closed.content_hash is distinct from current_rows.content_hash as is_content_changed,
        {% for name in quantities -%}
        case when not closed.was_excluded then closed.{{ name }} end as closed_{{ name }},
        case when not current_rows.is_excluded then current_rows.{{ name }} end as current_{{ name }}{{ ',' if not loop.last }}
        {% endfor %}
    from closed
    full join current_rows
        on current_rows.site_id = closed.site_id
        and current_rows.meter_id = closed.meter_id
        and current_rows.billing_month = closed.billing_month
),

-- What an older version of the models did not compute was not closed, and its hash is of less.
comparable as (
    select
        paired.* exclude (was_billed, is_billed, closed_inputs_hash, inputs_hash, inputs_hash_of_totals),
        coalesce(paired.was_billed, false) as was_billed,
        coalesce(paired.is_billed, false) as is_billed,
        paired.closed_inputs_hash is distinct from case
            when list_contains(closings.frozen_columns, 'billed_total') then paired.inputs_hash
            else paired.inputs_hash_of_totals
        end as is_input_changed,
        closings.frozen_columns,
        closings.version,
        closings.closed_at_utc,
        closings.lake_as_of_utc
    from paired
    inner join closings
        on closings.site_id = paired.site_id
        and closings.billing_month = paired.billing_month
),

judged_in_part as (
    select
        *,
        {{ is_billed_in_part() }} as is_billed_in_part
    from comparable
),

differing as (
    {% for name in quantities -%}
    select
        * exclude (
            {%- for other in quantities %}closed_{{ other }}, current_{{ other }}{{ ', ' if not loop.last }}{% endfor -%}
        ),
        '{{ name }}' as quantity,
        {{ loop.index }} as quantity_number,
        closed_{{ name }} as closed_value,
        current_{{ name }} as current_value
    from judged_in_part
    where {{ is_changed(name) }}
    {{ 'union all' if not loop.last }}
    {% endfor %}
),

differing_months as (
    select distinct
        site_id,
        meter_id,
        billing_month,
        (billing_month + interval 1 month)::date as next_month,
        period_start_utc,
        period_end_utc,
        lake_as_of_utc
    from differing
),

-- An index at midnight is told by the readings next to it, which may lie 40 days away; readings beyond them tell nothing.
reading_spans as (
    select
        months.site_id,
        months.meter_id,
        months.billing_month,
        coalesce(
            max(readings.read_at_utc) filter (where readings.read_at_utc <= months.period_start_utc),
            '-infinity'::timestamptz
        ) as from_utc,
        coalesce(
            min(readings.read_at_utc) filter (where readings.read_at_utc >= months.period_end_utc),
            'infinity'::timestamptz
        ) as until_utc
    from differing_months as months
    left join readings
        on readings.site_id = months.site_id
        and readings.meter_id = months.meter_id
        and readings.local_date between months.billing_month - 41 and months.next_month + 40
    group by months.site_id, months.meter_id, months.billing_month
),

-- Values that came, or went, after the last call that the closed version stands on.
news as (
    {% for table, instant in [
        ('meter_intervals', 'fetched_at_utc'),
        ('superseded', 'fetched_at_utc'),
        ('superseded', 'superseded_at_utc'),
    ] -%}
    select
        months.site_id,
        months.meter_id,
        months.billing_month,
        false as is_reading,
        min(found.{{ instant }}) as first_at_utc
    from {{ table }} as found
    inner join differing_months as months
        on months.site_id = found.site_id
        and months.meter_id = found.meter_id
        and months.billing_month <= found.local_date
        and months.next_month > found.local_date
        and months.lake_as_of_utc < found.{{ instant }}
    group by months.site_id, months.meter_id, months.billing_month
    union all
    {% endfor -%}
    {% for table, subject, read_at, instant in [
        ('readings', 'meter_id', 'read_at_utc', 'fetched_at_utc'),
        ('revisions', 'subject_id', 'interval_start_utc', 'revised_at_utc'),
    ] -%}
    select
        months.site_id,
        months.meter_id,
        months.billing_month,
        true as is_reading,
        min(found.{{ instant }}) as first_at_utc
    from {{ table }} as found
    inner join differing_months as months
        on months.site_id = found.site_id
        and months.meter_id = found.{{ subject }}
        and months.billing_month - 41 <= found.local_date
        and months.next_month + 40 >= found.local_date
        and months.lake_as_of_utc < found.{{ instant }}
    inner join reading_spans as spans
        on spans.site_id = months.site_id
        and spans.meter_id = months.meter_id
        and spans.billing_month = months.billing_month
        and found.{{ read_at }} between spans.from_utc and spans.until_utc
    {%- if table == 'revisions' %}
    where found.dataset = 'meter_indices'
    {%- endif %}
    group by months.site_id, months.meter_id, months.billing_month
    {{ 'union all' if not loop.last }}
    {% endfor %}
),

first_news as (
    select
        site_id,
        meter_id,
        billing_month,
        min(first_at_utc) filter (where not is_reading) as intervals_at_utc,
        min(first_at_utc) filter (where is_reading) as readings_at_utc
    from news
    group by site_id, meter_id, billing_month
),

-- What flowed is that of the site's electricity.
flows_told as (
    select site_id, local_date, fetched_at_utc as told_at_utc
    from site_intervals
    where meter_type = 'electricity'
    union all
    select site_id, local_date, revised_at_utc
    from revisions
    where dataset = 'site_intervals' and subject_id = 'electricity'
),

site_news as (
    select
        months.site_id,
        months.billing_month,
        min(found.told_at_utc) as first_at_utc
    from flows_told as found
    inner join (select distinct site_id, billing_month, next_month, lake_as_of_utc from differing_months) as months
        on months.site_id = found.site_id
        and months.billing_month <= found.local_date
        and months.next_month > found.local_date
        and months.lake_as_of_utc < found.told_at_utc
    group by months.site_id, months.billing_month
),

-- A quantity comes from the meter's readings, from the series of its site (one of the two then, and perhaps the other
-- now), or from its own intervals.
explained as (
    select
        differing.*,
        case
            when differing.quantity like '%index_%' then first_news.readings_at_utc
            when differing.quantity in {{ of_intervals }} then first_news.intervals_at_utc
            else least(
                case when list_contains(differing.flow_sources, 'site_intervals') then site_news.first_at_utc end,
                case when list_contains(differing.flow_sources, 'register') then first_news.readings_at_utc end
            )
        end as news_at_utc,
        differing.quantity in {{ of_intervals }} as is_of_intervals
    from differing
    left join first_news
        on first_news.site_id = differing.site_id
        and first_news.meter_id = differing.meter_id
        and first_news.billing_month = differing.billing_month
    left join site_news
        on site_news.site_id = differing.site_id
        and site_news.billing_month = differing.billing_month
),

judged as (
    select
        *,
        -- The days of service are part of the content, too: without news, it is they that changed.
        news_at_utc is not null and (is_content_changed or not is_of_intervals) as is_value_changed
    from explained
),

final as (
    select
        judged.site_id,
        judged.site_name,
        judged.meter_id,
        judged.meter_name,
        judged.billing_month,
        judged.quantity,
        case when judged.quantity in ('peak_kw', 'billed_peak_kw') then 'kW' else judged.unit end as unit,
        judged.closed_value::decimal(18, 6) as closed_value,
        judged.current_value::decimal(18, 6) as current_value,
        (coalesce(judged.current_value, 0) - coalesce(judged.closed_value, 0))::decimal(18, 6) as delta,
        -- Where no reading tells, Python keeps what is found here first.
        coalesce(
            seen.first_seen_at_utc,
            case when judged.is_value_changed then judged.news_at_utc end,
            date_trunc('second', current_timestamp)
        ) as first_seen_at_utc,
        case
            when judged.is_value_changed then 'values'
            when judged.is_input_changed then 'decision'
            else 'calculation'
        end as cause,
        judged.current_grade,
        judged.version,
        judged.closed_at_utc
    from judged
    left join seen
        on seen.site_id = judged.site_id
        and seen.billing_month = judged.billing_month
        and seen.version = judged.version
        and seen.meter_id = judged.meter_id
        and seen.quantity = judged.quantity
    order by judged.billing_month, judged.site_id, judged.meter_id, judged.quantity_number
)

select * from final
