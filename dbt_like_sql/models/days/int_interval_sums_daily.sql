select
    site_id,
    meter_id,
    local_date,
    min(minutes) as minutes,
    sum(total)::decimal(18, 6) as total,
    sum(solar)::decimal(18, 6) as solar,
    sum(grid)::decimal(18, 6) as grid,
    count(total)::integer as intervals_present,
    (count(*) - count(total))::integer as intervals_null,
    count(*) filter (where least(total, solar, grid) < 0)::integer as intervals_negative,
    count(*) filter (where total > 0 and (solar is null or grid is null))::integer as intervals_without_split,
    count(*) filter (where {{ is_off_grid('interval_start_utc', 'interval_end_utc', 'day_start_utc') }})::integer
        as intervals_off_grid,
    count(*) filter (where total in ({{ sentinel_values() }}))::integer as sure_sentinels,
    count(*) filter (where total in ({{ possible_sentinel_values() }}))::integer as possible_sentinels,
    max(total) filter (where total not in ({{ possible_sentinel_values() }}))::decimal(18, 6) as highest_other,
    max(abs(total - solar - grid))::decimal(18, 6) as split_error,
    min(least(total, solar, grid))::decimal(18, 6) as lowest,
    max(total * 60 / nullif(minutes, 0))::decimal(18, 6) as peak,
    -- Of equal peaks the first.
    arg_max(interval_start_utc, (total * 60 / nullif(minutes, 0), -epoch_us(interval_start_utc)))
        filter (where total is not null) as peak_at_utc,
    -- The same between the outermost intervals of the day, whose neighbours other days hold.
    max(total * 60 / nullif(minutes, 0)) filter (where {{ is_inside_day() }})::decimal(18, 6) as inner_peak,
    arg_max(interval_start_utc, (total * 60 / nullif(minutes, 0), -epoch_us(interval_start_utc)))
        filter (where total is not null and {{ is_inside_day() }}) as inner_peak_at_utc,
    max(total) filter (where interval_start_utc = day_start_utc)::decimal(18, 6) as first_total,
    max(total) filter (where interval_end_utc = day_end_utc)::decimal(18, 6) as last_total,
    count(*) filter (where total = 0)::integer as intervals_zero,
    min(interval_start_utc) filter (where total <> 0) as first_nonzero_utc,
    max(interval_end_utc) filter (where total <> 0) as last_nonzero_utc,
    min(interval_start_utc) filter (where total is not null) as first_value_utc,
    max(interval_end_utc) filter (where total is not null) as last_value_utc,
    min(interval_start_utc) as first_row_utc,
    max(interval_end_utc) as last_row_utc,
    coalesce(sum(minutes) filter (where total is not null), 0) as minutes_with_value,
    any_value(epoch_us(day_end_utc) - epoch_us(day_start_utc)) // 60000000 as minutes_of_day,
    max({{ decimals_of('total') }}) as decimals,
    -- Each interval counts with the place that it has in time, so that values which change places are told, too; sums do
    -- not depend on the order of rows.
    md5(concat_ws(
        ':', count(*), sum(place * minutes), sum(place) filter (where total is not null),
        sum(place * total), sum(place * solar), sum(place * grid)
    )) as content_hash
from {{ ref('int_interval_rows') }}
group by site_id, meter_id, local_date
