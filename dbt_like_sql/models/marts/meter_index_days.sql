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

replaced_days as (
    select
        site_id,
        meter_id,
        local_date,
        list({
            'before_at_utc': before_at_utc, 'read_at_utc': read_at_utc, 'index_before': index_before,
            'index_after': index_after, 'is_dated': is_dated
        } order by before_at_utc) as replacements
    from {{ ref('int_register_replacements') }}
    group by site_id, meter_id, local_date
),

-- Also of days on which nothing else was read. Consumption per interval lies on no line.
glitch_days as (
    select
        site_id,
        meter_id,
        local_date,
        sum(glitches)::integer as glitches
    from register_days
    anti join (from registers where series_kind = 'interval') using (site_id, meter_id, register)
    group by site_id, meter_id, local_date
),

-- The operator's load curve is what the meter counts, whatever its other register shows.
load_curve_meters as (
    select * from registers
    where series_kind = 'interval' and register = usual_register
),

advances as (
    select
        bounds.*,
        case
            when bounds.local_date - lag(bounds.local_date) over series = 1
                then bounds.counted - lag(bounds.counted) over series
        end as advance,
        -- The same over midnights at which the index is not known: they are made up for at the next that is.
        bounds.counted - lag(bounds.counted ignore nulls) over series as gained,
        -- Across a cut the register measured nothing.
        coalesce(list_sum(list_transform(
            list_filter(bounds.cuts, lambda c: c.cut <> 'rollover'), lambda c: c.total_between
        )), 0)::decimal(18, 6) as unmeasured,
        coalesce(list_sum(list_transform(
            list_filter(bounds.cuts, lambda c: c.cut <> 'rollover'), lambda c: c.open_between
        )), 0)::decimal(18, 6) as open
    from bounds
    anti join load_curve_meters
        on load_curve_meters.site_id = bounds.site_id
        and load_curve_meters.meter_id = bounds.meter_id
    window series as (partition by bounds.site_id, bounds.meter_id, bounds.register order by bounds.local_date)
),

-- Registers side by side: import and export of electricity, or the one of heat or water.
sides as (
    select
        site_id,
        meter_id,
        local_date,
        max(bound_utc) as any_bound,
        {% for register in ['import', 'export', 'heat', 'volume'] %}
        max(bound_utc) filter (where register = '{{ register }}') as {{ register }}_bound,
        max(index_at_end) filter (where register = '{{ register }}') as {{ register }}_index,
        max(index_source) filter (where register = '{{ register }}') as {{ register }}_source,
        max(distance_minutes) filter (where register = '{{ register }}') as {{ register }}_distance,
        max(uncertainty) filter (where register = '{{ register }}') as {{ register }}_uncertainty,
        max(counted) filter (where register = '{{ register }}') as {{ register }}_counted,
        max(advance) filter (where register = '{{ register }}') as {{ register }}_advance,
        max(gained) filter (where register = '{{ register }}') as {{ register }}_gained,
        max(unmeasured) filter (where register = '{{ register }}') as {{ register }}_unmeasured,
        max(open) filter (where register = '{{ register }}') as {{ register }}_open,
        any_value(steps) filter (where register = '{{ register }}') as {{ register }}_steps,
        {% endfor %}
        -- For meters of which no one register counts.
        max(unmeasured) as any_unmeasured,
        max(open) as any_open,
        coalesce(bool_or(is_crossed), false) as is_crossed,
        sum(len(list_filter(cuts, lambda c: c.cut = 'rollover')))::integer as rollovers,
        max(readings) as readings
    from advances
    group by site_id, meter_id, local_date
),

index_steps as (
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
        coalesce(facts.resolution, index_steps.step) as step,
        index_steps.usual_readings,
        case
            when facts.register_map in ('import', 'export', 'heat', 'volume') then facts.register_map
            when facts.register_map = 'swapped' then {{ other_register('meters.usual_register') }}
        end as stated_column,
        -- A battery has no one register that counts, and can be wired the other way round all the same.
        case when facts.register_map = 'swapped' then 'export' end as stated_drawn_column,
        meter_days.total,
        case when meter_days.intervals_missing = 0 and meter_days.intervals_null = 0 then meter_days.total end
            as whole_total,
        coalesce(replaced_days.replacements, []) as replacements,
        coalesce(glitch_days.glitches, 0) as glitches
    from sides
    inner join meters
        on meters.site_id = sides.site_id
        and meters.meter_id = sides.meter_id
    left join index_steps
        on index_steps.site_id = sides.site_id
        and index_steps.meter_id = sides.meter_id
    left join meter_days
        on meter_days.site_id = sides.site_id
        and meter_days.meter_id = sides.meter_id
        and meter_days.local_date = sides.local_date
    left join replaced_days
        on replaced_days.site_id = sides.site_id
        and replaced_days.meter_id = sides.meter_id
        and replaced_days.local_date = sides.local_date
    left join glitch_days
        on glitch_days.site_id = sides.site_id
        and glitch_days.meter_id = sides.meter_id
        and glitch_days.local_date = sides.local_date
    left join facts
        on facts.site_id = sides.site_id
        and facts.meter_id = sides.meter_id
        and sides.local_date between facts.valid_from and facts.valid_until
),

compared as (
    select
        *,
        whole_total - coalesce({{ side('usual_register', 'unmeasured') }}, any_unmeasured) as usual_total,
        whole_total - coalesce({{ other_side('usual_register', 'unmeasured') }}, any_unmeasured)
            as other_total,
        greatest(2 * step, abs(whole_total) * 0.001)
            + coalesce(import_uncertainty, 0) + coalesce(export_uncertainty, 0) + any_open as slack
    from mapped
),

-- Which register the intervals of the day were made of. A day on which nothing was counted says nothing, nor does one on
-- which both agree.
agreements as (
    select
        *,
        {{ in_column('stated_column') }} as stated_register,
        abs(usual_total) > slack
            and coalesce(abs({{ side('usual_register', 'advance') }} - usual_total) <= slack, false) as usual_agrees,
        abs(other_total) > slack
            and coalesce(abs({{ other_side('usual_register', 'advance') }} - other_total) <= slack, false)
            as other_agrees
    from compared
),

told as (
    select
        *,
        case
            when usual_register not in ('import', 'export') or usual_agrees = other_agrees then null
            when usual_agrees then usual_register
            else {{ other_register('usual_register') }}
        end as told_register
    from agreements
),

-- One day that tells otherwise than the days before and after it was told so by chance.
neighboured as (
    select
        *,
        lag(told_register ignore nulls) over days as told_before,
        lead(told_register ignore nulls) over days as told_after
    from told
    window days as (partition by site_id, meter_id order by local_date)
),

recognised as (
    select
        *,
        case
            when told_register in (told_before, told_after) or coalesce(told_before, told_after) is null
                then told_register
        end as recognised_register
    from neighboured
),

-- A register is followed when columns change places, so that which one counts for the meter seldom changes.
settled as (
    select
        *,
        coalesce(
            stated_register,
            last_value(recognised_register ignore nulls) over so_far,
            first_value(recognised_register ignore nulls) over from_now,
            usual_register
        ) as counting_register
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
        {{ in_column('counting_register') }} as index_register,
        coalesce({{ side('counting_register', 'bound') }}, any_bound) as bound_utc,
        {{ side('counting_register', 'index') }} as index_at_end,
        {{ side('counting_register', 'source') }} as index_source,
        {{ side('counting_register', 'distance') }} as index_distance_minutes,
        {{ side('counting_register', 'uncertainty') }} as index_uncertainty,
        {{ side(drawn_register(), 'uncertainty') }} as drawn_uncertainty,
        {{ side(feed_in_register(), 'uncertainty') }} as feed_in_uncertainty,
        {{ side('counting_register', 'advance') }} as register_advance,
        coalesce({{ side('counting_register', 'unmeasured') }}, any_unmeasured) as unmeasured,
        coalesce({{ side('counting_register', 'open') }}, any_open) as open,
        -- Where another register came to count, a step between readings may be of both.
        case
            when counting_register = lag(counting_register, 1, counting_register) over days
                and counting_register = lead(counting_register, 1, counting_register) over days
                then {{ side('counting_register', 'steps') }}
        end as steps,
        {{ drawn_register() }} as drawn_register,
        {{ feed_in_register() }} as feed_in_register
    from settled
    window days as (partition by site_id, meter_id order by local_date)
),

-- Where another register came to count, what each counted while it did.
counted as (
    select
        *,
        {% for role in ['counting', 'drawn', 'feed_in'] %}
        case
            when
                min({{ role }}_register) over meter <> max({{ role }}_register) over meter
                and {{ side(role ~ '_register', 'counted') }} is not null
                then try_cast(
                    sum(coalesce({{ side(role ~ '_register', 'gained') }}, 0)) over so_far as decimal(18, 6)
                )
            else {{ side(role ~ '_register', 'counted') }}
        end as {{ role }}_counted,
        {% endfor %}
        sum(open) over so_far as open_so_far,
        sum(len(replacements)) over so_far as replacements_so_far
    from chosen
    window
        meter as (partition by site_id, meter_id),
        so_far as (partition by site_id, meter_id order by local_date rows unbounded preceding)
),

-- Consumption per interval of the distribution grid's operator: no index, but its sum can be compared.
load_curves as (
    select
        register_days.site_id,
        register_days.meter_id,
        register_days.local_date,
        register_days.zone,
        max(register_days.day_end_utc) as bound_utc,
        case when abs(sum(register_days.readings_sum)) < 1e10 then sum(register_days.readings_sum) end::decimal(18, 6)
            as load_curve_total,
        max(register_days.readings) as readings
    from register_days
    inner join load_curve_meters
        on load_curve_meters.site_id = register_days.site_id
        and load_curve_meters.meter_id = register_days.meter_id
        and load_curve_meters.register = register_days.register
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
        counting_counted as counted,
        unmeasured,
        open_so_far,
        replacements_so_far,
        coalesce(index_register <> usual_register and stated_register is null, false) as is_swapped,
        {{ side('feed_in_register', 'index') }} as export_index,
        feed_in_counted as export_counted,
        feed_in_uncertainty as export_uncertainty,
        drawn_counted as import_counted,
        drawn_uncertainty as import_uncertainty,
        replacements,
        coalesce(rollovers, 0) as rollovers,
        glitches,
        readings,
        usual_readings,
        step,
        null::decimal(18, 6) as load_curve_total,
        steps
    from counted
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
        [] as replacements,
        0 as rollovers,
        0 as glitches,
        readings,
        load_curve_total
    from load_curves
    order by billing_month, site_id, meter_id, local_date
)

select * from final
