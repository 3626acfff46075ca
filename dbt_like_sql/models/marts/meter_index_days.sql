with

bounds as (
    select * from {{ ref('int_register_bounds') }}
),

register_days as (
    select * from {{ ref('int_register_days') }}
),

registers as (
    select * from {{ ref('int_registers') }}
),

meters as (
    select * from {{ ref('int_meters') }}
),

meter_days as (
    select * from {{ ref('meter_days') }}
),

facts as (
    select * from {{ ref('meter_facts') }}
),

advances as (
    select
        bounds.*,
        case
            when bounds.local_date - lag(bounds.local_date) over series = 1
                then bounds.counted - lag(bounds.counted) over series
        end as advance,
        list_filter(bounds.cuts, lambda c: c.cut <> 'rollover') as replacements
    from bounds
    window series as (partition by bounds.site_id, bounds.meter_id, bounds.register order by bounds.local_date)
),

-- Registers side by side: import and export of electricity, or the one of heat or water.
sides as (
    select
        site_id,
        meter_id,
        local_date,
        any_value(bound_utc) as bound_utc,
        {% for register in ['import', 'export', 'heat', 'volume'] %}
        max(index_at_end) filter (where register = '{{ register }}') as {{ register }}_index,
        max(index_source) filter (where register = '{{ register }}') as {{ register }}_source,
        max(distance_minutes) filter (where register = '{{ register }}') as {{ register }}_distance,
        max(uncertainty) filter (where register = '{{ register }}') as {{ register }}_uncertainty,
        max(counted) filter (where register = '{{ register }}') as {{ register }}_counted,
        max(advance) filter (where register = '{{ register }}') as {{ register }}_advance,
        {% endfor %}
        coalesce(flatten(list(replacements) filter (where len(replacements) > 0)), []) as replacements,
        -- The columns of import and export changed places: each goes on where the other was.
        max(replacements[1].read_at_utc) filter (where register = 'import')
            = max(replacements[1].read_at_utc) filter (where register = 'export')
            and abs(
                max(replacements[1].index_before) filter (where register = 'import')
                - max(replacements[1].index_after) filter (where register = 'export')
            ) <= 10
            and abs(
                max(replacements[1].index_before) filter (where register = 'export')
                - max(replacements[1].index_after) filter (where register = 'import')
            ) <= 10 as is_exchange,
        sum(len(list_filter(cuts, lambda c: c.cut = 'rollover')))::integer as rollovers,
        sum(glitches)::integer as glitches,
        max(readings) as readings
    from advances
    group by site_id, meter_id, local_date
),

steps as (
    select
        site_id,
        meter_id,
        max(step) as step,
        max(usual_readings) as usual_readings
    from registers
    where series_kind = 'index' and register in (usual_register, 'import', 'export')
    group by site_id, meter_id
),

mapped as (
    select
        sides.*,
        meters.zone,
        meters.usual_register,
        coalesce(facts.resolution, steps.step) as step,
        steps.usual_readings,
        case
            when facts.register_map in ('import', 'export', 'heat', 'volume') then facts.register_map
            when facts.register_map = 'swapped' then {{ other_register('meters.usual_register') }}
        end as stated_register,
        meter_days.total,
        case when meter_days.intervals_missing = 0 and meter_days.intervals_null = 0 then meter_days.total end
            as whole_total,
        -- Across a cut nothing was measured by either register.
        coalesce(case
            when sides.is_exchange then sides.replacements[1].total_between
            else list_sum(list_transform(sides.replacements, lambda c: c.total_between))
        end, 0)::decimal(18, 6) as unmeasured
    from sides
    inner join meters
        on meters.site_id = sides.site_id
        and meters.meter_id = sides.meter_id
    left join steps
        on steps.site_id = sides.site_id
        and steps.meter_id = sides.meter_id
    left join meter_days
        on meter_days.site_id = sides.site_id
        and meter_days.meter_id = sides.meter_id
        and meter_days.local_date = sides.local_date
    left join facts
        on facts.site_id = sides.site_id
        and facts.meter_id = sides.meter_id
        and sides.local_date between facts.valid_from and facts.valid_until
),

compared as (
    select
        *,
        whole_total - unmeasured as measured_total,
        greatest(2 * step, abs(whole_total) * 0.001)
            + coalesce(import_uncertainty, 0) + coalesce(export_uncertainty, 0) as slack
    from mapped
),

-- Which register the intervals of the day were made of. A day on which both agree (nothing was counted) says nothing.
recognised as (
    select
        *,
        case
            when stated_register is not null or usual_register not in ('import', 'export') or export_advance is null
                or import_advance is null then null
            else case
                when abs({{ side('usual_register', 'advance') }} - measured_total) <= slack
                    and abs({{ side(other_register('usual_register'), 'advance') }} - measured_total) > slack
                    then usual_register
                when abs({{ side('usual_register', 'advance') }} - measured_total) > slack
                    and abs({{ side(other_register('usual_register'), 'advance') }} - measured_total) <= slack
                    then {{ other_register('usual_register') }}
            end
        end as recognised_register
    from compared
),

settled as (
    select
        *,
        coalesce(
            stated_register,
            last_value(recognised_register ignore nulls) over so_far,
            first_value(recognised_register ignore nulls) over from_now,
            usual_register
        ) as index_register
    from recognised
    window
        so_far as (partition by site_id, meter_id order by local_date rows unbounded preceding),
        from_now as (
            partition by site_id, meter_id order by local_date rows between current row and unbounded following
        )
),

chosen as (
    select
        *,
        {{ side('index_register', 'index') }} as index_at_end,
        {{ side('index_register', 'source') }} as index_source,
        {{ side('index_register', 'distance') }} as index_distance_minutes,
        {{ side('index_register', 'uncertainty') }} as index_uncertainty,
        {{ side('index_register', 'counted') }} as register_counted,
        {{ side('index_register', 'advance') }} as register_advance,
        min(index_register) over meter <> max(index_register) over meter as has_changed_register,
        lag(index_register) over (partition by site_id, meter_id order by local_date) as register_before
    from settled
    window meter as (partition by site_id, meter_id)
),

-- Consumption per interval of the distribution grid's operator: no index, but its sum can be compared.
load_curves as (
    select
        register_days.site_id,
        register_days.meter_id,
        register_days.local_date,
        register_days.zone,
        max(register_days.day_end_utc) as bound_utc,
        sum(register_days.readings_sum)::decimal(18, 6) as load_curve_total,
        max(register_days.readings) as readings
    from register_days
    inner join registers
        on registers.site_id = register_days.site_id
        and registers.meter_id = register_days.meter_id
        and registers.register = register_days.register
    where registers.series_kind = 'interval' and register_days.register = register_days.usual_register
    group by register_days.site_id, register_days.meter_id, register_days.local_date, register_days.zone
),

final as (
    select
        site_id,
        meter_id,
        local_date,
        date_trunc('month', local_date)::date as billing_month,
        zone,
        bound_utc as index_at_utc,
        'index' as series_kind,
        index_register,
        index_at_end,
        coalesce(index_source, 'none') as index_source,
        index_distance_minutes,
        index_uncertainty,
        register_advance as advance,
        -- Where registers were swapped on the way, what either counted while it counted for the meter.
        case
            when has_changed_register then sum(coalesce(register_advance, 0)) over (
                partition by site_id, meter_id order by local_date rows unbounded preceding
            )
            else register_counted
        end::decimal(18, 6) as counted,
        unmeasured,
        coalesce(index_register <> usual_register and stated_register is null, false) as is_swapped,
        coalesce(index_register <> register_before, false) as is_register_changed,
        {{ side(feed_in_register(), 'index') }} as export_index,
        {{ side(feed_in_register(), 'source') }} as export_source,
        case
            when has_changed_register then sum(coalesce({{ side(feed_in_register(), 'advance') }}, 0)) over (
                partition by site_id, meter_id order by local_date rows unbounded preceding
            )
            else {{ side(feed_in_register(), 'counted') }}
        end::decimal(18, 6) as export_counted,
        import_counted,
        case when is_exchange then [] else replacements end as replacements,
        coalesce(rollovers, 0) as rollovers,
        glitches,
        readings,
        usual_readings,
        step,
        null::decimal(18, 6) as load_curve_total
    from chosen
    union all by name
    select
        site_id,
        meter_id,
        local_date,
        date_trunc('month', local_date)::date as billing_month,
        zone,
        bound_utc as index_at_utc,
        'interval' as series_kind,
        'none' as index_source,
        0::decimal(18, 6) as unmeasured,
        false as is_swapped,
        false as is_register_changed,
        [] as replacements,
        0 as rollovers,
        0 as glitches,
        readings,
        load_curve_total
    from load_curves
    order by billing_month, site_id, meter_id, local_date
)

select * from final
