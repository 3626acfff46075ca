{{ config(materialized='by_day') }}

with

lines as (
    select
        site_id,
        meter_id,
        register,
        local_date,
        count(*) filter (where is_glitch) as glitches,
        min(read_at_utc) filter (where not is_glitch) as first_read_at_utc,
        max(read_at_utc) filter (where not is_glitch) as last_read_at_utc,
        min_by(reading, read_at_utc) filter (where not is_glitch) as first_index,
        max_by(reading, read_at_utc) filter (where not is_glitch) as last_index,
        max({{ decimals_of('reading') }}) filter (where not is_glitch)::integer as decimals,
        -- Falls all day long are no replacements: the series states what each interval consumed, or the readings are
        -- wrong. Only what was read first and last is compared then, so that an index never counts backwards.
        count(*) filter (where reading < before) > greatest(2, count(*) filter (where not is_glitch) * 0.05)
            as is_restless
    from {{ ref('int_reading_pairs_daily') }}
    group by site_id, meter_id, register, local_date
),

-- On such a day, what does not lie between the first and the last reading is off the line as well.
off_the_line as (
    select
        site_id,
        meter_id,
        register,
        local_date,
        count(*) as readings
    from {{ ref('int_reading_pairs_daily') }} as pairs
    inner join lines using (site_id, meter_id, register, local_date)
    where
        lines.is_restless
        and not pairs.is_glitch
        and lines.first_index <= lines.last_index
        and pairs.reading not between lines.first_index and lines.last_index
    group by site_id, meter_id, register, local_date
)

select
    lines.* replace ((lines.glitches + coalesce(off_the_line.readings, 0))::integer as glitches)
from lines
left join off_the_line using (site_id, meter_id, register, local_date)
