{{ config(watch="date_trunc('month', local_date)::date as billing_month, *") }}

-- All days of a meter: what was recognised once holds until something else is, and for the days before.
with

-- Only the other register can make a difference, and what the user states.
meters_in_doubt as (
    select
        site_id,
        meter_id
    from {{ ref('int_register_agreements') }}
    group by site_id, meter_id
    having bool_or(has_other or stated_register is not null)
),

-- One day that tells otherwise than the days before and after it was told so by chance.
neighboured as (
    select
        *,
        lag(agreeing_register ignore nulls) over days as agreeing_before,
        lead(agreeing_register ignore nulls) over days as agreeing_after,
        case
            when
                agreeing_register in (agreeing_before, agreeing_after)
                or coalesce(agreeing_before, agreeing_after) is null
                then agreeing_register
        end as recognised_register
    from {{ ref('int_register_agreements') }}
    semi join meters_in_doubt using (site_id, meter_id)
    window days as (partition by site_id, meter_id order by local_date)
),

-- A register is followed when columns change places, so that which one counts for the meter seldom changes.
doubtful_days as (
    select
        site_id,
        meter_id,
        local_date,
        coalesce(
            stated_register,
            last_value(recognised_register ignore nulls) over so_far,
            first_value(recognised_register ignore nulls) over from_now,
            usual_register
        ) as counting_register
    from neighboured
    window
        so_far as (partition by site_id, meter_id order by local_date rows unbounded preceding),
        from_now as (
            partition by site_id, meter_id order by local_date rows between current row and unbounded following
        )
)

select
    *,
    -- Where another register came to count, a link may be of both.
    counting_register = lag(counting_register, 1, counting_register) over meter
        and counting_register = lead(counting_register, 1, counting_register) over meter as is_alike_around
from doubtful_days
window meter as (partition by site_id, meter_id order by local_date)
order by site_id, meter_id, local_date
