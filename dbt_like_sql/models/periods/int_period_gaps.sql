with

-- Stretches without a value go over midnights: pieces that touch are one.
gap_pieces as (
    select
        site_id, meter_id, period_from, local_date, 1 as position,
        gap_at_start_minutes as minutes,
        true as touches_before,
        intervals_present = 0 as touches_after
    from {{ ref('int_counted_days') }}
    where longest_gap_minutes > 0 and gap_at_start_minutes > 0
    union all
    select site_id, meter_id, period_from, local_date, 2, gap_at_end_minutes, false, true
    from {{ ref('int_counted_days') }}
    where longest_gap_minutes > 0 and gap_at_end_minutes > 0 and intervals_present > 0
),

gap_breaks as (
    select
        *,
        case
            when touches_before
                and lag(touches_after) over pieces
                and lag(local_date) over pieces = local_date - 1
                then 0
            else 1
        end as is_break
    from gap_pieces
    window pieces as (partition by site_id, meter_id, period_from order by local_date, position)
),

numbered_gaps as (
    select
        *,
        sum(is_break) over (
            partition by site_id, meter_id, period_from order by local_date, position rows unbounded preceding
        ) as gap_number
    from gap_breaks
),

gap_lengths as (
    select site_id, meter_id, period_from, gap_number, sum(minutes) as minutes
    from numbered_gaps
    group by site_id, meter_id, period_from, gap_number
)

select
    site_id,
    meter_id,
    period_from,
    max(minutes) as longest_gap_minutes
from gap_lengths
group by site_id, meter_id, period_from
