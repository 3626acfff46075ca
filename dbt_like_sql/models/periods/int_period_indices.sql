-- The reading at midnight closes the day before it; the bounds are those of the period, whatever is excluded inside.
-- What was counted on days that dropped out is not on the bill.
with

days_of_bounds as (
    select distinct
        site_id,
        meter_id,
        period_from,
        unnest([first_due_on - 1, first_due_on, last_due_on]) as local_date
    from {{ ref('int_period_bounds') }}
),

-- By an inner join, since that reads the days of the bounds alone; left joins would read those of all years.
indices as (
    select days_of_bounds.period_from, index_days.*
    from days_of_bounds
    inner join {{ ref('meter_index_days') }} as index_days using (site_id, meter_id, local_date)
)

select
    bounds.site_id,
    bounds.meter_id,
    bounds.period_from,
    coalesce(closing.index_register, opening.index_register, kinds.usual_register) as index_register,
    opening.index_at_end as index_start,
    closing.index_at_end as index_end,
    opening.index_at_utc as opening_at_utc,
    closing.index_at_utc as closing_at_utc,
    coalesce(opening.index_source, 'none') as index_start_source,
    coalesce(closing.index_source, 'none') as index_end_source,
    opening.index_distance_minutes as index_start_distance_minutes,
    closing.index_distance_minutes as index_end_distance_minutes,
    case
        when opening.index_register is not null and closing.index_register is not null
            then closing.counted - opening.counted - {{ counted_off_bill('counted') }}
    end::decimal(18, 6) as index_advance,
    -- With what was counted on days that dropped out.
    case
        when opening.index_register is not null and closing.index_register is not null and dropped.site_id is not null
            then closing.counted - opening.counted
    end::decimal(18, 6) as whole_advance,
    -- Where the register was read for the first time on the first day: what it counted from then on more than the
    -- intervals state, and more than a part of one interval can be.
    case
        when opening.site_id is null and day_one_days.link_before_at_utc is null
            and day_one.index_register is not null and closing.index_register is not null
            then greatest(0, closing.counted - {{ counted_off_bill('counted') }} - (sums.total - sums.unmeasured)
                - sums.peak * sums.interval_minutes / 60)
    end::decimal(18, 6) as counted_before_values,
    coalesce(closing.open_so_far - opening.open_so_far, 0) as open_at_cuts,
    coalesce(opening.index_uncertainty, 0) + coalesce(closing.index_uncertainty, 0) + open_at_cuts
        + coalesce(dropped.uncertainty, 0) as index_uncertainty,
    coalesce(dropped.uncertainty, 0) as dropped_uncertainty,
    dropped.excluded_difference,
    coalesce(closing.replacements_so_far - opening.replacements_so_far, 0) as replacements_inside,
    case when kinds.meter_mode in ('introduction', 'production', 'battery') then opening.export_index end
        as export_index_start,
    case when kinds.meter_mode in ('introduction', 'production', 'battery') then closing.export_index end
        as export_index_end,
    case
        when kinds.meter_mode in ('introduction', 'production', 'battery')
            then closing.export_counted - opening.export_counted - {{ counted_off_bill('export_counted') }}
    end::decimal(18, 6) as export_index_advance,
    -- Of a grid connection, whichever register it was that counted the import.
    case
        when kinds.meter_mode = 'introduction' then index_advance
        else (closing.import_counted - opening.import_counted - {{ counted_off_bill('import_counted') }})::decimal(18, 6)
    end as import_advance,
    opening.import_uncertainty + closing.import_uncertainty + coalesce(dropped.import_uncertainty, 0)
        as import_uncertainty,
    opening.export_uncertainty + closing.export_uncertainty + coalesce(dropped.export_uncertainty, 0)
        as export_uncertainty
from {{ ref('int_period_bounds') }} as bounds
left join {{ ref('int_period_sums') }} as sums using (site_id, meter_id, period_from)
left join {{ ref('int_period_kinds') }} as kinds using (site_id, meter_id, period_from)
left join {{ ref('int_dropped_advances') }} as dropped using (site_id, meter_id, period_from)
left join indices as opening
    on opening.site_id = bounds.site_id
    and opening.meter_id = bounds.meter_id
    and opening.period_from = bounds.period_from
    and opening.local_date = bounds.first_due_on - 1
left join indices as day_one
    on day_one.site_id = bounds.site_id
    and day_one.meter_id = bounds.meter_id
    and day_one.period_from = bounds.period_from
    and day_one.local_date = bounds.first_due_on
left join indices as closing
    on closing.site_id = bounds.site_id
    and closing.meter_id = bounds.meter_id
    and closing.period_from = bounds.period_from
    and closing.local_date = bounds.last_due_on
left join {{ ref('int_period_days') }} as day_one_days
    on day_one_days.site_id = bounds.site_id
    and day_one_days.meter_id = bounds.meter_id
    and day_one_days.period_from = bounds.period_from
    and day_one_days.local_date = bounds.first_due_on
