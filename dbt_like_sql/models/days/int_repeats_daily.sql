with

-- One number for a meter's day: to sort by it takes a third of what it takes by the names.
numbered as (
    select
        *,
        hash(site_id, meter_id, local_date) as meter_day
    from {{ ref('int_interval_rows') }}
    where {{ is_being_built() }}
),

neighbours as (
    select
        site_id,
        meter_id,
        local_date,
        total,
        lag(total, 1) over in_order as one_before,
        lag(total, 2) over in_order as two_before
    from numbered
    window in_order as (partition by meter_day order by interval_start_utc)
),

-- Most days repeat nothing three times, so runs are counted on the others alone.
repeating_days as (
    select distinct
        site_id,
        meter_id,
        local_date
    from neighbours
    where total <> 0 and total = one_before and total = two_before
),

value_changes as (
    select
        site_id,
        meter_id,
        local_date,
        interval_start_utc,
        total,
        total is distinct from lag(total) over meter_day as is_other
    from {{ ref('int_interval_rows') }}
    semi join repeating_days using (site_id, meter_id, local_date)
    window meter_day as (partition by site_id, meter_id, local_date order by interval_start_utc)
),

numbered_runs as (
    select
        *,
        sum(is_other::integer)
            over (partition by site_id, meter_id, local_date order by interval_start_utc rows unbounded preceding) as run
    from value_changes
),

run_lengths as (
    select
        site_id,
        meter_id,
        local_date,
        total,
        count(*) as intervals
    from numbered_runs
    where total <> 0
    group by site_id, meter_id, local_date, total, run
)

select
    site_id,
    meter_id,
    local_date,
    max(intervals)::integer as longest_repeat,
    -- Of equally long runs the one of the larger value.
    arg_max(total, (intervals, total)) as repeated_total
from run_lengths
where intervals > 2
group by site_id, meter_id, local_date
