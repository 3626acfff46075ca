{{ config(materialized='by_day') }}

with

pairs as (
    select
        site_id,
        meter_id,
        register,
        local_date,
        pairs.before_at_utc,
        pairs.read_at_utc,
        pairs.before as index_before,
        pairs.reading as index_after
    from {{ ref('int_reading_pairs_daily') }} as pairs
    inner join {{ ref('int_register_lines_daily') }} as lines using (site_id, meter_id, register, local_date)
    where not lines.is_restless
    union all
    select
        site_id,
        meter_id,
        register,
        local_date,
        first_read_at_utc,
        last_read_at_utc,
        first_index,
        last_index
    from {{ ref('int_register_lines_daily') }}
    where is_restless
),

-- With what the validated intervals say of the time between.
stated_pairs as (
    select
        pairs.*,
        {{ is_comparable('series') }} as is_comparable,
        {{ stated_between('pairs.before_at_utc', 'pairs.read_at_utc') }} as total_between,
        {{ open_between('pairs.before_at_utc', 'pairs.read_at_utc') }} as open_between,
        {{ covered_between('pairs.before_at_utc', 'pairs.read_at_utc') }} as covered
    from pairs
    inner join {{ ref('int_register_series') }} as series using (site_id, meter_id, register)
    left join {{ ref('meter_intervals') }} as intervals
        on intervals.site_id = pairs.site_id
        and intervals.meter_id = pairs.meter_id
        and intervals.local_date = pairs.local_date
        and intervals.interval_start_utc < pairs.read_at_utc
        and intervals.interval_end_utc > pairs.before_at_utc
    where not {{ is_plain('pairs.index_before', 'pairs.index_after') }}
    group by all
),

cuts as (
    select
        *,
        covered = epoch_us(read_at_utc) - epoch_us(before_at_utc) as is_whole,
        -- What was read in one instant (int_paired_readings) is the old device and the new one.
        case
            when epoch_us(read_at_utc) - epoch_us(before_at_utc) = 1
                then case when index_after < index_before then 'fall' else 'jump' end
            else {{ register_cut('index_before', 'index_after', 'total_between', 'is_whole and is_comparable') }}
        end as cut
    from stated_pairs
)

select
    site_id,
    meter_id,
    register,
    local_date,
    cut,
    before_at_utc,
    read_at_utc,
    index_before,
    index_after,
    total_between,
    open_between,
    -- A register that jumps up again and again is not replaced each time: it counts in another unit, or the intervals
    -- are wrong.
    cut = 'jump' and count(*) filter (where cut = 'jump') over (partition by site_id, meter_id, register, local_date) > 2
        as is_spared
from cuts
where cut is not null
