-- The same of the meter's readings. An index at midnight is told by the readings next to it, which may lie 40 days away;
-- readings beyond them tell nothing.
with

months as (
    select distinct
        site_id,
        meter_id,
        billing_month,
        next_month,
        period_start_utc,
        period_end_utc,
        lake_as_of_utc
    from {{ ref('int_differing_quantities') }}
),

spans as (
    select
        months.*,
        coalesce(
            max(readings.read_at_utc) filter (where readings.read_at_utc <= months.period_start_utc),
            '-infinity'::timestamptz
        ) as from_utc,
        coalesce(
            min(readings.read_at_utc) filter (where readings.read_at_utc >= months.period_end_utc),
            'infinity'::timestamptz
        ) as until_utc
    from months
    left join {{ ref('meter_indices') }} as readings
        on readings.site_id = months.site_id
        and readings.meter_id = months.meter_id
        and readings.local_date between months.billing_month - 41 and months.next_month + 40
    group by all
),

changed as (
    select site_id, meter_id, local_date, read_at_utc, fetched_at_utc as told_at_utc
    from {{ ref('meter_indices') }}
    semi join months using (site_id, meter_id)
    union all
    select site_id, subject_id, local_date, interval_start_utc, revised_at_utc
    from {{ ref('revisions') }}
    where dataset = 'meter_indices'
)

select
    spans.site_id,
    spans.meter_id,
    spans.billing_month,
    min(changed.told_at_utc) as first_at_utc
from changed
inner join spans
    on spans.site_id = changed.site_id
    and spans.meter_id = changed.meter_id
    and changed.local_date between spans.billing_month - 41 and spans.next_month + 40
    and changed.read_at_utc between spans.from_utc and spans.until_utc
    and spans.lake_as_of_utc < changed.told_at_utc
group by spans.site_id, spans.meter_id, spans.billing_month
