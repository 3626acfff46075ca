{{ config(materialized='view') }}
{# Steps of the register, in a quarter of an hour: less is repeated by chance. #}
{% set notable_steps = 100 %}
{# Days before and after a day that are of its season; and how many of these 90 must be there to tell what is usual. #}
{% set season_days = 45 %}
{% set least_season_days = 20 %}

-- Whether what the intervals state can be true, by itself, by the days around, and by the register.
with

days as (
    select
        days.*,
        evidence.meter_step,
        evidence.advance,
        evidence.is_confirmed,
        steps.split_step
    from {{ ref('int_asked_days') }} as days
    inner join {{ ref('int_register_evidence_daily') }} as evidence using (site_id, meter_id, local_date, billing_month)
    left join {{ ref('int_meter_steps') }} as steps using (site_id, meter_id)
),

outstanding as (
    select
        outstanding.*,
        least(outstanding.times_the_others, outstanding.peak / nullif(proven.proven_peak, 0)) as times_the_best,
        {{ local_time_of('outstanding.peak_at_utc', 'outstanding.zone') }} as local_time,
        {{ quantity_of('outstanding.repeated_total', 'outstanding.unit') }} as repeated
    from {{ ref('int_outstanding_days') }} as outstanding
    left join {{ ref('int_proven_peaks') }} as proven using (site_id, meter_id, local_date, billing_month)
),

-- Whether a plant rests in most nights of the season around a day, even if it is wrong for a whole month.
nights as (
    select
        site_id,
        meter_id,
        local_date,
        days.billing_month,
        nights.night_total,
        avg((nights.night_total <= checks.tolerance)::integer) over around > 0.5
        and count(*) over around >= {{ least_season_days }} as is_usually_dark
    from {{ ref('int_production_nights_daily') }} as nights
    inner join {{ ref('int_asked_days') }} as days using (site_id, meter_id, local_date)
    inner join {{ ref('data_quality_checks') }} as checks on checks.check_name = 'night_production'
    where local_date between {{ built_from() }} - {{ season_days }} and {{ built_until() }} + {{ season_days }}
    window around as (
        partition by site_id, meter_id order by local_date
        range between interval {{ season_days }} days preceding and interval {{ season_days }} days following
        exclude current row
    )
)

select
    'sentinel' as check_name, site_id, meter_id, local_date, billing_month, intervals_sentinel::double as measured,
    null as detail
from days
union all
select
    'negative', site_id, meter_id, local_date, billing_month,
    -lowest / nullif(case when has_split then split_step else meter_step end, 0), null
from days
where lowest < 0
union all
select
    'stuck', site_id, meter_id, local_date, billing_month, longest_repeat,
    {{ quantity_of('repeated_total', 'unit') }}
from days
where
    not is_confirmed
    and repeated_total is not null
    and (advance is not null or abs(repeated_total) >= {{ notable_steps }} * meter_step)
union all
select 'stuck_unread', site_id, meter_id, local_date, billing_month, longest_repeat, repeated
from outstanding
where is_stuck
union all
select
    'zero_run', site_id, meter_id, local_date, billing_month, zero_hours, case when is_longer then ' or more' end
from {{ ref('int_zero_runs_daily') }}
where is_unconfirmed
union all
select
    'zero_run_unread', site_id, meter_id, local_date, billing_month, zero_hours / 24,
    case when is_longer then ' or more' end
from {{ ref('int_zero_runs_daily') }}
where is_disputed
union all
select 'spike', site_id, meter_id, local_date, billing_month, times_the_others, local_time
from outstanding
where advance is not null or is_unread
union all
select 'spike_unread', site_id, meter_id, local_date, billing_month, times_the_best, local_time
from outstanding
where is_unread and not is_rule_meter
union all
select 'night_production', site_id, meter_id, local_date, billing_month, night_total, null
from nights
union all
select 'night_production_unusual', site_id, meter_id, local_date, billing_month, night_total, null
from nights
where is_usually_dark
