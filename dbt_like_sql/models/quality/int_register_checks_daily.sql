{{ config(materialized='view') }}
{# Of its readings, a register that is read in every interval has at least this share on most days. #}
{% set least_readings = 0.9 %}

-- What happened to the registers of a meter.
with

days as (
    select
        days.*,
        indices.series_kind,
        indices.is_swapped,
        indices.rollovers,
        indices.glitches,
        indices.readings,
        indices.usual_readings,
        greatest(0, days.intervals_present - indices.readings) as intervals_unread
    from {{ ref('int_asked_days') }} as days
    inner join {{ ref('meter_index_days') }} as indices using (site_id, meter_id, local_date, billing_month)
),

estimated as (
    select days.*
    from days
    inner join {{ ref('coverage_days') }} as coverage
        on coverage.dataset = 'meter_indices'
        and coverage.site_id = days.site_id
        and coverage.subject_id = days.meter_id
        and coverage.local_date = days.local_date
        and coverage.state in ('complete', 'gap')
    where
        days.series_kind = 'index'
        and days.usual_readings >= {{ least_readings }} * days.intervals_due
        and days.interval_minutes <= 60
        and days.intervals_unread > 0
),

replacements as (
    select
        *,
        {{ unit_change('index_before', 'index_after') }} as unit_change
    from {{ ref('int_register_replacements') }}
),

unit_changes as (
    select
        *,
        lead(before_at_utc) over changes as next_before_at_utc,
        lead(read_at_utc) over changes as next_read_at_utc,
        lag(read_at_utc) over changes is null as is_first
    from replacements
    where unit_change is not null
    window changes as (partition by site_id, meter_id order by before_at_utc)
),

-- What is a thousand times as much is taken for wrong: Wh shown for kWh, litres for m3. Where readings are frequent,
-- the interval after the last wrong one is right.
thousandfold as (
    select
        site_id,
        meter_id,
        index_before,
        index_after,
        case when unit_change = 'larger' then before_at_utc else '-infinity'::timestamptz end as from_utc,
        case
            when unit_change = 'smaller'
                then case when {{ is_soon('before_at_utc', 'read_at_utc') }} then before_at_utc else read_at_utc end
            when {{ is_soon('next_before_at_utc', 'next_read_at_utc') }} then next_before_at_utc
            else coalesce(next_read_at_utc, 'infinity'::timestamptz)
        end as until_utc
    from unit_changes
    where unit_change = 'larger' or is_first
)

select
    'rollover' as check_name, site_id, meter_id, local_date, billing_month, rollovers::double as measured,
    null as detail
from days
union all
select 'index_glitch', site_id, meter_id, local_date, billing_month, glitches, null
from days
union all
select 'swapped_registers', site_id, meter_id, local_date, billing_month, 1, null
from days
where is_swapped and total <> 0
union all
select
    'estimated', site_id, meter_id, local_date, billing_month, intervals_unread / nullif(intervals_present, 0),
    intervals_unread::varchar
from estimated
union all
select
    'replaced', site_id, meter_id, local_date, days.billing_month, count(*),
    arg_min(
        {{ quantity_of('index_before', 'null') }} || ' to ' || {{ quantity_of('index_after', 'unit') }},
        before_at_utc
    )
from days
inner join replacements using (site_id, meter_id, local_date)
where not is_dated and unit_change is null
group by site_id, meter_id, local_date, days.billing_month
union all
select
    'unit_change', days.site_id, days.meter_id, days.local_date, days.billing_month, 1,
    min({{ quantity_of('index_before', 'null') }} || ' to ' || {{ quantity_of('index_after', 'null') }})
from {{ ref('int_asked_days') }} as days
inner join thousandfold
    on thousandfold.site_id = days.site_id
    and thousandfold.meter_id = days.meter_id
    and thousandfold.from_utc < days.day_end_utc
    and thousandfold.until_utc > days.day_start_utc
group by days.site_id, days.meter_id, days.local_date, days.billing_month
union all
-- A register that begins again, or jumps, shows an exchange; where none does near the date, nobody but it tells of one.
select
    'exchange_unseen', days.site_id, days.meter_id, days.local_date, days.billing_month, count(*),
    {{ local_time_of('min(hidden.replaced_at_utc)', 'any_value(sites.zone)') }}
from days
inner join {{ ref('int_hidden_replacements') }} as hidden
    on hidden.site_id = days.site_id
    and hidden.meter_id = days.meter_id
    and hidden.replaced_at_utc >= days.day_start_utc
    and hidden.replaced_at_utc < days.day_end_utc
left join {{ ref('sites') }} as sites on sites.site_id = days.site_id
where days.series_kind = 'index'
group by days.site_id, days.meter_id, days.local_date, days.billing_month
