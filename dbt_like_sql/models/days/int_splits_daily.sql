with

interval_rows as (
    select
        intervals.site_id,
        intervals.meter_id,
        intervals.local_date,
        intervals.interval_start_utc,
        meters.is_rule_meter,
        {{ quantity('intervals.total') }} as total,
        {{ quantity('intervals.solar') }} as solar,
        {{ rest_of('intervals.total', 'intervals.solar', 'intervals.grid') }} as grid
    from {{ ref('meter_intervals') }} as intervals
    inner join {{ ref('int_meters') }} as meters
        on meters.site_id = intervals.site_id
        and meters.meter_id = intervals.meter_id
        and meters.has_split
),

-- Of the consumers as a whole; a rule meter holds again what its parts hold.
site_shares as (
    select
        site_id,
        local_date,
        interval_start_utc,
        sum(solar)::double / nullif(sum(total), 0)::double as solar_share
    from interval_rows
    where not is_rule_meter and solar is not null
    group by site_id, local_date, interval_start_utc
),

site_moments as (
    select
        site_id,
        local_date,
        interval_start_utc,
        shares.solar_share,
        {{ quantity('withdrawals.grid_import') }} as grid_import
    from site_shares as shares
    full join (select * from {{ ref('site_intervals') }} where meter_type = 'electricity') as withdrawals
        using (site_id, local_date, interval_start_utc)
)

select
    site_id,
    meter_id,
    local_date,
    -- Consumers that add up to next to nothing make a share beyond all bounds: it must not stop every model.
    sum(least(abs(solar - total::double * solar_share), 1e8)::decimal(18, 6)) filter (
        where solar is not null and total is not null and solar_share is not null
    )::decimal(18, 6) as uneven_solar,
    sum(grid) filter (where grid > 0 and grid_import <= 0)::decimal(18, 6) as grid_without_import
from interval_rows
left join site_moments using (site_id, local_date, interval_start_utc)
group by site_id, meter_id, local_date
