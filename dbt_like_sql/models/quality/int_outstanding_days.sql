{{ config(order_by='site_id, meter_id, local_date') }}
{# Steps of the register, in a quarter of an hour: less is repeated, or a multiple of the rest, by chance. #}
{% set notable_steps = 100 %}
{# Days before and after a day that are of its season; and how many of these 90 must be there to tell what is usual. #}
{% set season_days = 45 %}
{% set least_season_days = 20 %}

with

tolerances as (
    select
        min(tolerance) filter (where check_name in ('spike', 'spike_unread')) as spike,
        min(tolerance) filter (where check_name = 'stuck_unread') as stuck
    from {{ ref('data_quality_checks') }}
),

season as (
    select *
    from {{ ref('int_asked_days') }}
    where
        intervals_sentinel = 0
        and local_date between {{ built_from() }} - {{ season_days }} and {{ built_until() }} + {{ season_days }}
),

-- The three highest days of the month: a month is a part of the season of each of its days, and what stands out of the
-- season stands out of it. So only few days have to be compared with their season.
days_of_month as (
    select
        *,
        max(peak, 3) over (partition by site_id, meter_id, billing_month) as peaks
    from season
    where local_date between {{ built_from() }} and {{ built_until() }}
),

-- The highest quarter-hour is in kW, four times its kWh.
candidates as (
    select
        days_of_month.*,
        evidence.meter_step,
        evidence.advance,
        evidence.is_unread,
        case when days_of_month.peak >= 4 * {{ notable_steps }} * evidence.meter_step then days_of_month.peak end
            as notable_peak,
        evidence.is_unread
        and days_of_month.longest_repeat > tolerances.stuck
        and abs(days_of_month.repeated_total) >= {{ notable_steps }} * evidence.meter_step as is_repeating,
        -- The second highest of the other days: two wrong days must not vouch for one another.
        coalesce(case when peak < peaks[2] then peaks[2] else peaks[3] end, 0) as second_peak_of_month,
        tolerances.spike
    from days_of_month
    inner join {{ ref('int_register_evidence_daily') }} as evidence using (site_id, meter_id, local_date, billing_month)
    cross join tolerances
    where
        not evidence.is_confirmed
        and (is_repeating or notable_peak >= second_peak_of_month * tolerances.spike)
),

others as (
    select
        candidates.site_id,
        candidates.meter_id,
        candidates.local_date,
        list_extract(max(season.peak, 2), 2) as second_peak,
        list_extract(max(season.longest_repeat, 2), 2) as second_repeat,
        count(season.peak) as days_with_peak
    from candidates
    inner join season
        on season.site_id = candidates.site_id
        and season.meter_id = candidates.meter_id
        and abs(season.local_date - candidates.local_date) between 1 and {{ season_days }}
    group by candidates.site_id, candidates.meter_id, candidates.local_date
)

select
    site_id,
    meter_id,
    local_date,
    candidates.billing_month,
    candidates.zone,
    candidates.meter_type,
    candidates.meter_mode,
    candidates.is_rule_meter,
    candidates.unit,
    candidates.peak,
    candidates.peak_at_utc,
    case when others.days_with_peak >= {{ least_season_days }} then notable_peak / nullif(others.second_peak, 0) end
        as times_the_others,
    candidates.longest_repeat,
    candidates.repeated_total,
    candidates.is_repeating
    and (
        candidates.longest_repeat > 2 * coalesce(others.second_repeat, 1)
        or candidates.longest_repeat = candidates.intervals_present
    ) as is_stuck,
    candidates.advance,
    candidates.is_unread
from candidates
left join others using (site_id, meter_id, local_date)
where is_stuck or times_the_others > candidates.spike
