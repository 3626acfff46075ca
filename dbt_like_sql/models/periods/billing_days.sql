{{ config(order_by="site_id, meter_id, local_date") }}

with

excluded_days as (
    select distinct
        due.site_id,
        due.meter_id,
        due.local_date
    from {{ ref('int_due_days') }} as due
    inner join {{ ref('exclusions') }} as exclusions
        on exclusions.site_id = due.site_id
        and exclusions.meter_id = due.meter_id
        and due.local_date between exclusions.first_day and exclusions.last_day
),

-- A meter comes and goes in the middle of a day, and what it delivers tells when. A first or last day of service that
-- has no value tells nothing: all of it is due.
days as (
    select
        due.*,
        measured.* exclude (
            site_id, meter_id, zone, billing_month, local_date, day_start_utc, day_end_utc, interval_minutes,
            coverage_state, has_split
        ),
        coalesce(
            case when measured.intervals_present + measured.intervals_null > 0 then measured.interval_minutes end,
            due.presumed_interval_minutes
        ) as interval_minutes,
        measured.interval_minutes as asked_interval_minutes,
        -- The last day of a meter that is gone cannot be asked for again: what had come by then is all there is.
        case
            when measured.coverage_state = 'pending' and not due.is_listed_now and due.local_date = due.in_service_until
                then 'complete'
            else measured.coverage_state
        end as coverage_state,
        measured.coverage_state is not null as is_asked,
        coalesce({{ is_confirmed('measured', 'due.period_end_utc', 'due.closing_delay_us') }}, false) as is_confirmed,
        coalesce(due.local_date = due.in_service_from and measured.intervals_present > 0, false) as begins_inside,
        coalesce(due.local_date = due.in_service_until and measured.intervals_present > 0, false) as ends_inside,
        indices.unmeasured,
        indices.load_curve_total,
        coalesce(due.resolution, indices.step) as step,
        excluded_days.site_id is not null as is_excluded
    from {{ ref('int_due_days') }} as due
    left join (from {{ ref('meter_days') }} where {{ is_being_built() }}) as measured
        using (site_id, meter_id, local_date)
    left join (from {{ ref('meter_index_days') }} where {{ is_being_built() }}) as indices
        using (site_id, meter_id, local_date)
    left join excluded_days using (site_id, meter_id, local_date)
),

-- Of a day that had not ended at the last call, only the part before that call counts. On the first and the last day of
-- service, only what lies between the first and the last interval; a null is one, and is due.
expected as (
    select
        *,
        greatest(0, case
            when not is_over then elapsed_minutes // interval_minutes
            when intervals_expected is not null and interval_minutes = asked_interval_minutes then intervals_expected
            else greatest(1, round(minutes_of_day / interval_minutes))
        end
        - case when begins_inside then minutes_before_first_row // interval_minutes else 0 end
        - case when ends_inside then minutes_after_last_row // interval_minutes else 0 end
        )::integer as intervals_due
    from days
)

select
    site_id,
    meter_id,
    local_date,
    billing_month,
    zone,
    day_start_utc,
    day_end_utc,
    is_over,
    is_asked,
    coverage_state,
    total,
    solar,
    grid,
    meter_type,
    meter_mode,
    is_rule_meter,
    unit,
    has_split,
    is_in_split,
    interval_minutes,
    intervals_due,
    coalesce(intervals_present, 0) as intervals_present,
    coalesce(intervals_null, 0) as intervals_null,
    greatest(0, intervals_due - coalesce(intervals_present, 0) - coalesce(intervals_null, 0)) as intervals_missing,
    coalesce(intervals_negative, 0) as intervals_negative,
    coalesce(intervals_revised, 0) as intervals_revised,
    case when has_split then coalesce(intervals_without_split, 0) else 0 end as intervals_without_split,
    is_confirmed,
    first_fetched_at_utc,
    last_fetched_at_utc,
    peak,
    peak_at_utc,
    case when is_over and is_asked then longest_gap_minutes else 0 end as longest_gap_minutes,
    case when not begins_inside then gap_at_start_minutes end as gap_at_start_minutes,
    case when not ends_inside then gap_at_end_minutes end as gap_at_end_minutes,
    content_hash,
    unmeasured,
    load_curve_total,
    step,
    links.before_at_utc as link_before_at_utc,
    links.first_at_utc as link_first_at_utc,
    links.last_at_utc as link_last_at_utc,
    links.next_at_utc as link_next_at_utc,
    links.apart_since as link_apart_since,
    links.counted_since as link_counted_since,
    links.apart_within as link_apart_within,
    links.apart_next as link_apart_next,
    links.counted_next as link_counted_next,
    links.open_at_first as link_open_at_first,
    links.open_at_last as link_open_at_last,
    links.open_at_next as link_open_at_next,
    local_date < first_value_on and in_service_from is null as is_before_first_value,
    local_date > last_value_on and in_service_until is null as is_after_last_value,
    is_listed_now,
    is_gone,
    billing_point,
    is_billed,
    is_excluded
from expected
left join (from {{ ref('int_index_links_daily') }} where {{ is_being_built() }}) as links
    using (site_id, meter_id, local_date)
