{{ config(materialized='view') }}
{# An id of at least so many signs names one meter in the whole account; shorter ones may be numbers within a site,
   and are one meter where name and values are the same. #}
{% set signs_of_an_identity = 10 %}

-- Days on which two meters that deliver are called by one id, by one name, or by one billing point. Meters that follow
-- one another on the same day do not overlap: what counts is from the first value to the last.
with

used as (
    select
        days.site_id,
        days.meter_id,
        days.local_date,
        days.billing_month,
        days.meter_type,
        days.meter_mode,
        days.is_billed,
        days.billing_point,
        days.total,
        days.peak,
        days.peak_at_utc,
        meters.meter_name,
        coalesce(sites.site_name, days.site_id) as site_name,
        lower(trim(meters.meter_name)) as plain_name,
        epoch_us(days.day_start_utc) + measured.gap_at_start_minutes::bigint * 60000000 as from_us,
        epoch_us(days.day_end_utc) - measured.gap_at_end_minutes::bigint * 60000000 as until_us
    from {{ ref('billing_days') }} as days
    inner join {{ ref('meters') }} as meters using (site_id, meter_id)
    inner join {{ ref('meter_days') }} as measured using (site_id, meter_id, local_date, billing_month)
    left join {{ ref('sites') }} as sites using (site_id)
    where days.intervals_present > 0 and not days.is_excluded and {{ is_being_built() }}
),

-- Few meters share anything: only their days are compared.
of_two_sites as (
    select meter_id from {{ ref('meters') }} group by meter_id having count(*) > 1
),

of_one_name as (
    select
        site_id,
        meter_type,
        lower(trim(meter_name)) as plain_name
    from {{ ref('meters') }}
    group by all
    having count(*) > 1
),

of_one_point as (
    select
        site_id,
        billing_point
    from {{ ref('meter_facts') }}
    where billing_point is not null
    group by site_id, billing_point
    having count(distinct meter_id) > 1
),

pairs as (
    -- Where it is billed at one of the sites alone, it is billed once; and zeros are billed to nobody.
    select
        'listed_twice' as check_name,
        one.site_id, one.meter_id, one.local_date, one.billing_month,
        other.site_name as shared_with
    from (from used semi join of_two_sites using (meter_id)) as one
    inner join used as other
        on other.meter_id = one.meter_id
        and other.local_date = one.local_date
        and other.site_id <> one.site_id
        and other.is_billed = one.is_billed
        and other.from_us < one.until_us
        and other.until_us > one.from_us
    where
        one.total <> 0
        and other.total <> 0
        and (
            length(one.meter_id) >= {{ signs_of_an_identity }}
            or (one.total, one.peak, one.peak_at_utc, one.plain_name)
                is not distinct from (other.total, other.peak, other.peak_at_utc, other.plain_name)
        )
    union all
    select
        'same_name', one.site_id, one.meter_id, one.local_date, one.billing_month, other.meter_id
    from (from used semi join of_one_name using (site_id, meter_type, plain_name)) as one
    inner join used as other
        on other.site_id = one.site_id
        and other.meter_type = one.meter_type
        and other.meter_mode = one.meter_mode
        and other.plain_name = one.plain_name
        and other.local_date = one.local_date
        and other.meter_id <> one.meter_id
        and other.from_us < one.until_us
        and other.until_us > one.from_us
    union all
    select
        'shared_point', one.site_id, one.meter_id, one.local_date, one.billing_month,
        coalesce(other.meter_name, other.meter_id)
    from (from used semi join of_one_point using (site_id, billing_point)) as one
    inner join used as other
        on other.site_id = one.site_id
        and other.billing_point = one.billing_point
        and other.meter_type = one.meter_type
        and other.meter_mode = one.meter_mode
        and other.local_date = one.local_date
        and other.meter_id <> one.meter_id
        and other.from_us < one.until_us
        and other.until_us > one.from_us
    where one.is_billed and other.is_billed
)

select
    check_name,
    site_id,
    meter_id,
    local_date,
    billing_month,
    string_agg(distinct shared_with, ', ' order by shared_with) as shared_with
from pairs
group by check_name, site_id, meter_id, local_date, billing_month
