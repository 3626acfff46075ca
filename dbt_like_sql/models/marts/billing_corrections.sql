{% set of_intervals = "('" ~ quantities_of_intervals().split() | join("', '") ~ "')" %}

with

changes as (
    select * from {{ ref('closed_changes') }}
),

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

-- A meter may have come to light, or vanished, since the month was closed.
differing as (
    select
        changes.*,
        (changes.billing_month + interval 1 month)::date as next_month,
        coalesce(billing.site_name, closed.site_name) as site_name,
        coalesce(billing.meter_name, closed.meter_name) as meter_name,
        billing.grade as current_grade,
        coalesce(billing.period_start_utc, closed.period_start_utc) as period_start_utc,
        coalesce(billing.period_end_utc, closed.period_end_utc) as period_end_utc,
        [closed.flow_source, billing.flow_source] as flow_sources,
        closed.content_hash is distinct from billing.content_hash as is_content_changed,
        -- The hash of an older version of the models is of less.
        closed.inputs_hash is distinct from case
            when list_contains(closings.frozen_columns, 'billed_total') then inputs.inputs_hash
            else inputs.inputs_hash_of_totals
        end as is_input_changed,
        closings.closed_at_utc,
        closings.lake_as_of_utc
    from changes
    inner join closings
        on closings.site_id = changes.site_id
        and closings.billing_month = changes.billing_month
    left join closed
        on closed.site_id = changes.site_id
        and closed.meter_id = changes.meter_id
        and closed.billing_month = changes.billing_month
    left join billing
        on billing.site_id = changes.site_id
        and billing.meter_id = changes.meter_id
        and billing.billing_month = changes.billing_month
    left join inputs
        on inputs.site_id = changes.site_id
        and inputs.meter_id = changes.meter_id
        and inputs.billing_month = changes.billing_month
),

differing_months as (
    select distinct
        site_id,
        meter_id,
        billing_month,
        next_month,
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
        judged.unit,
        judged.closed_value,
        judged.current_value,
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
    order by judged.billing_month, judged.site_id, judged.meter_id, judged.position
)

select * from final
