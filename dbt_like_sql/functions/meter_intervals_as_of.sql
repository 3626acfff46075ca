-- meter_intervals as known at an instant: of every interval the values that were current then.
create or replace macro main.meter_intervals_as_of(instant) as table (
    select
        site_id, meter_id, interval_start_utc, interval_end_utc, total, solar, grid, fetched_at_utc, local_date
    from {{ ref('meter_intervals') }}
    where fetched_at_utc <= instant::timestamptz
    union all
    select
        site_id, meter_id, interval_start_utc, interval_end_utc, total, solar, grid, fetched_at_utc, local_date
    from {{ ref('meter_intervals_superseded') }}
    where fetched_at_utc <= instant::timestamptz and superseded_at_utc > instant::timestamptz
);
comment on macro table main.meter_intervals_as_of is
    'meter_intervals as known at an instant: of every interval the values that were current then. In a file that is attached: set search_path = ''<its name>,memory'' first.';
