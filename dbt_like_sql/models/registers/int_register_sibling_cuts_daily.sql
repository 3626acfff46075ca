{{ config(materialized='by_day') }}

with

replacements as (
    select * from {{ ref('int_register_cuts_daily') }}
    where cut <> 'rollover' and not is_spared
),

-- The registers beside the one that shows the replacement, unless they show one over that time themselves.
siblings as (
    select
        replacements.site_id,
        replacements.meter_id,
        series.register,
        replacements.local_date,
        replacements.register as cut_register,
        replacements.before_at_utc as cut_before_at_utc,
        replacements.read_at_utc as cut_read_at_utc
    from replacements
    inner join {{ ref('int_register_series') }} as series
        on series.site_id = replacements.site_id
        and series.meter_id = replacements.meter_id
        and series.register <> replacements.register
    left join replacements as own
        on own.site_id = replacements.site_id
        and own.meter_id = replacements.meter_id
        and own.local_date = replacements.local_date
        and own.register = series.register
        and own.before_at_utc < replacements.read_at_utc
        and own.read_at_utc > replacements.before_at_utc
    where own.site_id is null
),

sibling_links as (
    select distinct
        pairs.site_id,
        pairs.meter_id,
        pairs.register,
        pairs.local_date,
        siblings.cut_register,
        pairs.before_at_utc,
        pairs.read_at_utc,
        pairs.before as index_before,
        pairs.reading as index_after
    from {{ ref('int_reading_pairs_daily') }} as pairs
    inner join siblings
        on siblings.site_id = pairs.site_id
        and siblings.meter_id = pairs.meter_id
        and siblings.local_date = pairs.local_date
        and siblings.register = pairs.register
        and siblings.cut_before_at_utc < pairs.read_at_utc
        and siblings.cut_read_at_utc > pairs.before_at_utc
)

select
    sibling_links.*,
    {{ stated_between('sibling_links.before_at_utc', 'sibling_links.read_at_utc') }} as total_between,
    {{ open_between('sibling_links.before_at_utc', 'sibling_links.read_at_utc') }} as open_between
from sibling_links
left join {{ ref('meter_intervals') }} as intervals
    on intervals.site_id = sibling_links.site_id
    and intervals.meter_id = sibling_links.meter_id
    and intervals.local_date = sibling_links.local_date
    and intervals.interval_start_utc < sibling_links.read_at_utc
    and intervals.interval_end_utc > sibling_links.before_at_utc
group by all
