with

register_days as (
    select * from {{ ref('int_register_days') }}
    where first_read_at_utc is not null
),

registers as (
    select * from {{ ref('int_registers') }}
    where series_kind = 'index'
),

facts as (
    select * from {{ ref('meter_facts') }}
),

calendar as (
    select * from {{ ref('calendar_days') }}
),

dated_steps as (
    select * from {{ ref('int_register_dated_steps') }}
),

meter_days as (
    select * from {{ ref('meter_days') }}
),

first_days as (
    select
        register_days.*,
        registers.step,
        facts.installed_on
    from register_days
    inner join registers
        on registers.site_id = register_days.site_id
        and registers.meter_id = register_days.meter_id
        and registers.register = register_days.register
        and registers.first_read_on = register_days.local_date
    left join (
        select
            site_id,
            meter_id,
            min(installed_on) as installed_on
        from facts
        group by site_id, meter_id
    ) as facts
        on facts.site_id = register_days.site_id
        and facts.meter_id = register_days.meter_id
),

-- The index 0 that an installation date stands for, behind which there is no reading: as the user dated it, or where the
-- first reading is what the intervals of its day add up to.
installations as (
    select
        first_days.site_id,
        first_days.meter_id,
        first_days.register,
        calendar.local_date - 1 as local_date,
        first_days.zone,
        first_days.has_split,
        first_days.usual_register,
        calendar.day_start_utc as first_read_at_utc,
        calendar.day_start_utc as last_read_at_utc,
        calendar.day_start_utc as day_end_utc,
        0::decimal(18, 6) as first_index,
        0::decimal(18, 6) as last_index,
        0::decimal(18, 6) as advance
    from first_days
    inner join calendar
        on calendar.zone = first_days.zone
        and calendar.local_date = case
            when first_days.installed_on <= first_days.local_date then first_days.installed_on
            when
                first_days.installed_on is null
                and first_days.register in (first_days.usual_register, 'import')
                and first_days.before_first.is_whole
                and abs(first_days.first_index - first_days.before_first.stated) <= first_days.step
                then first_days.local_date
        end
),

series_days as (
    select
        register_days.site_id,
        register_days.meter_id,
        register_days.register,
        register_days.local_date,
        register_days.zone,
        register_days.has_split,
        register_days.usual_register,
        register_days.day_start_utc,
        register_days.day_end_utc,
        register_days.first_read_at_utc,
        register_days.last_read_at_utc,
        register_days.first_index,
        register_days.last_index,
        register_days.advance,
        register_days.cuts,
        register_days.exchanges,
        register_days.glitches,
        register_days.readings,
        register_days.before_first,
        register_days.after_last,
        register_days.sibling_steps,
        register_days.is_jumping,
        registers.step,
        registers.usual_readings,
        false as is_installation
    from register_days
    inner join registers
        on registers.site_id = register_days.site_id
        and registers.meter_id = register_days.meter_id
        and registers.register = register_days.register
    union all by name
    select
        *,
        0 as glitches,
        0 as readings,
        true as is_installation
    from installations
),

-- Meters whose export register ever showed anything, both columns of each day side by side: at its first reading, and at
-- its last, when they may have changed places.
two_columns as (
    select
        site_id,
        meter_id,
        local_date,
        min(first_read_at_utc) as first_read_at_utc,
        max(last_read_at_utc) as last_read_at_utc,
        coalesce(any_value(exchanges), []) as exchanges,
        coalesce(max(first_index) filter (where register = 'import'), 0) as import_at_first,
        coalesce(max(first_index) filter (where register = 'export'), 0) as export_at_first,
        coalesce(max(last_index) filter (where (register = 'import') <> (len(exchanges) % 2 = 1)), 0) as import_at_last,
        coalesce(max(last_index) filter (where (register = 'export') <> (len(exchanges) % 2 = 1)), 0) as export_at_last
    from (select * replace (coalesce(exchanges, []) as exchanges) from series_days) as column_days
    semi join (
        select * from series_days
        where (register = 'export' and not is_installation) or exchanges is not null
    ) as exporting
        using (site_id, meter_id)
    where register in ('import', 'export') and not is_installation
    group by site_id, meter_id, local_date
),

opened as (
    select
        *,
        lag(last_read_at_utc) over meter as before_at_utc,
        lag(import_at_last) over meter as import_before,
        lag(export_at_last) over meter as export_before
    from two_columns
    window meter as (partition by site_id, meter_id order by local_date)
),

exchanged as (
    select
        * exclude (exchanges),
        case
            when {{ is_exchange('import_before', 'export_before', 'import_at_first', 'export_at_first') }}
                then list_prepend({
                    'before_at_utc': before_at_utc, 'read_at_utc': first_read_at_utc, 'import_before': import_before,
                    'export_before': export_before, 'import_after': import_at_first, 'export_after': export_at_first
                }, exchanges)
            else exchanges
        end as all_exchanges,
        len(exchanges) as exchanges_inside
    from opened
),

-- Whether each register stands in the other's column than when it was first read.
crossings as (
    select
        *,
        (sum(len(all_exchanges)) over meter - len(all_exchanges)) % 2 = 1 as was_crossed,
        (sum(len(all_exchanges)) over meter - exchanges_inside) % 2 = 1 as starts_crossed,
        sum(len(all_exchanges)) over meter % 2 = 1 as is_crossed
    from exchanged
    window meter as (partition by site_id, meter_id order by local_date rows unbounded preceding)
),

-- A register is followed through its columns, under the name of the one in which it was read first: to change places is
-- no cut.
followed as (
    select
        series_days.* exclude (exchanges, register),
        case
            when crossings.starts_crossed then {{ other_register('series_days.register') }} else series_days.register
        end as register,
        series_days.register as first_column,
        coalesce(crossings.is_crossed, false) as is_crossed,
        crossings.was_crossed,
        crossings.all_exchanges
    from series_days
    left join crossings
        on crossings.site_id = series_days.site_id
        and crossings.meter_id = series_days.meter_id
        and crossings.local_date = series_days.local_date
        and series_days.register in ('import', 'export')
        and not series_days.is_installation
),

linked as (
    select
        *,
        lag(last_index) over series as index_before,
        lag(last_read_at_utc) over series as before_at_utc,
        lag(local_date) over series as before_date,
        lag(after_last) over series as after_before,
        lag(last_read_at_utc) over series = day_start_utc
            and before_first.is_whole
            and not is_jumping
            and (register in (usual_register, 'import') or has_split) as is_total_known
    from followed
    window series as (partition by site_id, meter_id, register order by local_date)
),

judged as (
    select
        *,
        {{ register_cut('index_before', 'first_index', 'before_first.stated', 'coalesce(is_total_known, false)') }}
            as shown_cut
    from linked
),

-- What the readings themselves show of replacements.
shown_cuts as (
    select
        site_id,
        meter_id,
        before_at_utc,
        first_read_at_utc as read_at_utc
    from judged
    where shown_cut in ('fall', 'jump')
    union
    select
        site_id,
        meter_id,
        cut.before_at_utc,
        cut.read_at_utc
    from (select site_id, meter_id, unnest(cuts) as cut from judged)
    where cut.cut <> 'rollover'
),

-- Replacements that meters.csv dates where no register shows one: it cuts where it says, whatever the readings do.
hidden_replacements as (
    select distinct
        facts.site_id,
        facts.meter_id,
        facts.replaced_at_utc
    from facts
    where facts.replaced_at_utc is not null and not exists (
        select 1 from shown_cuts
        where
            shown_cuts.site_id = facts.site_id
            and shown_cuts.meter_id = facts.meter_id
            and {{ is_near('facts.replaced_at_utc', 'shown_cuts.before_at_utc', 'shown_cuts.read_at_utc') }}
    )
),

-- Steps inside days that are cut for what is known of the meter, not for what the register shows.
told_steps as (
    select
        site_id,
        meter_id,
        register as first_column,
        local_date,
        'dated' as cut,
        before_at_utc,
        read_at_utc,
        index_before,
        index_after,
        total_between,
        open_between
    from dated_steps
    semi join hidden_replacements using (site_id, meter_id, replaced_at_utc)
    union
    select
        days.site_id,
        days.meter_id,
        days.first_column,
        days.local_date,
        'sibling',
        days.step.before_at_utc,
        days.step.read_at_utc,
        days.step.index_before,
        days.step.index_after,
        days.step.total_between,
        days.step.open_between
    from (select site_id, meter_id, first_column, local_date, unnest(sibling_steps) as step from judged) as days
    -- Consumption per interval falls without a replacement.
    where exists (
        select 1 from registers
        where
            registers.site_id = days.site_id
            and registers.meter_id = days.meter_id
            and list_contains(days.step.cut_registers, registers.register)
    )
),

told_cuts as (
    select
        site_id,
        meter_id,
        first_column,
        local_date,
        list(step order by step.read_at_utc) as cuts,
        list(step.read_at_utc) as read_ats,
        sum(step.index_after - step.index_before) as passed_over
    from (
        select
            site_id,
            meter_id,
            first_column,
            local_date,
            {
                'cut': min(cut), 'before_at_utc': before_at_utc, 'read_at_utc': read_at_utc,
                'index_before': any_value(index_before), 'index_after': any_value(index_after),
                'total_between': any_value(total_between), 'open_between': any_value(open_between)
            } as step
        from told_steps
        group by site_id, meter_id, first_column, local_date, before_at_utc, read_at_utc
    )
    group by site_id, meter_id, first_column, local_date
),

-- A rollover at such a step was none.
told as (
    select
        judged.* exclude (cuts, advance),
        case
            when told_cuts.cuts is null then judged.cuts
            else list_concat(
                list_filter(coalesce(judged.cuts, []), lambda c: not list_contains(told_cuts.read_ats, c.read_at_utc)),
                told_cuts.cuts
            )
        end as cuts,
        -- On a day that is not told step by step, the step passed over can be more than the day's.
        greatest(0, judged.advance - coalesce(told_cuts.passed_over, 0) - coalesce(list_sum(list_transform(
            list_filter(
                judged.cuts, lambda c: c.cut = 'rollover' and list_contains(told_cuts.read_ats, c.read_at_utc)
            ),
            lambda c: {{ register_end('c.index_before') }}
        )), 0)) as advance,
        case
            when judged.shown_cut in ('fall', 'jump') then judged.shown_cut
            when exists (
                select 1 from hidden_replacements
                where
                    hidden_replacements.site_id = judged.site_id
                    and hidden_replacements.meter_id = judged.meter_id
                    and hidden_replacements.replaced_at_utc >= judged.before_at_utc
                    and hidden_replacements.replaced_at_utc < judged.first_read_at_utc
            ) then 'dated'
            else judged.shown_cut
        end as own_cut
    from judged
    left join told_cuts
        on told_cuts.site_id = judged.site_id
        and told_cuts.meter_id = judged.meter_id
        and told_cuts.first_column = judged.first_column
        and told_cuts.local_date = judged.local_date
),

own_cuts as (
    select
        site_id,
        meter_id,
        register,
        own_cut as cut,
        before_at_utc,
        first_read_at_utc as read_at_utc
    from told
    where own_cut in ('fall', 'jump', 'dated')
    union all
    select
        site_id,
        meter_id,
        register,
        cut.cut,
        cut.before_at_utc,
        cut.read_at_utc
    from (select site_id, meter_id, register, unnest(cuts) as cut from told)
    where cut.cut <> 'rollover'
),

-- A replacement is one of the whole device: over that time no register of it counted on, unless it is cut there itself.
passed_on as (
    select
        registers_of_meter.site_id,
        registers_of_meter.meter_id,
        registers_of_meter.register,
        own_cuts.before_at_utc,
        own_cuts.read_at_utc
    from own_cuts
    inner join (select distinct site_id, meter_id, register from told) as registers_of_meter
        on registers_of_meter.site_id = own_cuts.site_id
        and registers_of_meter.meter_id = own_cuts.meter_id
        and registers_of_meter.register <> own_cuts.register
    where own_cuts.cut <> 'sibling' and not exists (
        select 1 from own_cuts as its_own
        where
            its_own.site_id = own_cuts.site_id
            and its_own.meter_id = own_cuts.meter_id
            and its_own.register = registers_of_meter.register
            and its_own.before_at_utc < own_cuts.read_at_utc
            and its_own.read_at_utc > own_cuts.before_at_utc
    )
),

opened_with as (
    select
        *,
        case
            when own_cut in ('fall', 'jump', 'dated') then own_cut
            when exists (
                select 1 from passed_on
                where
                    passed_on.site_id = told.site_id
                    and passed_on.meter_id = told.meter_id
                    and passed_on.register = told.register
                    and passed_on.before_at_utc < told.first_read_at_utc
                    and passed_on.read_at_utc > told.before_at_utc
            ) then 'sibling'
            else own_cut
        end as opening_cut
    from told
),

-- The whole days between two readings. Beyond 40 days a difference is nobody's in particular.
days_between as (
    select
        opened.site_id,
        opened.meter_id,
        opened.register,
        opened.local_date,
        sum(meter_days.total) as stated,
        count(*) filter (where meter_days.intervals_missing = 0 and meter_days.intervals_null = 0) as whole_days
    from (
        select
            site_id,
            meter_id,
            register,
            local_date,
            unnest(generate_series(before_date + 1, local_date - 1, interval 1 day))::date as day_between
        from opened_with
        where opening_cut is not null or local_date - before_date <= 41
    ) as opened
    inner join meter_days
        on meter_days.site_id = opened.site_id
        and meter_days.meter_id = opened.meter_id
        and meter_days.local_date = opened.day_between
    group by opened.site_id, opened.meter_id, opened.register, opened.local_date
),

-- Of an interval that reaches over a reading, half is taken for each side: how far off that can be, is kept with it.
counted as (
    select
        opened_with.*,
        (
            coalesce(opened_with.after_before.stated, 0) + coalesce(days_between.stated, 0)
            + coalesce(opened_with.before_first.stated, 0)
        )::decimal(18, 6) as total_between,
        (coalesce(opened_with.after_before.open, 0) + coalesce(opened_with.before_first.open, 0))::decimal(18, 6)
            as open_between,
        coalesce(days_between.whole_days, 0) = opened_with.local_date - opened_with.before_date - 1
            and opened_with.local_date - opened_with.before_date <= 41 as are_days_between_whole,
        case when meter_days.intervals_missing = 0 and meter_days.intervals_null = 0 then meter_days.total end
            as whole_total,
        case
            when opened_with.opening_cut = 'rollover'
                then {{ rollover_advance('opened_with.index_before', 'opened_with.first_index') }}
            when opened_with.opening_cut is not null then 0
            else coalesce(opened_with.first_index - opened_with.index_before, 0)
        end as opening_advance
    from opened_with
    left join days_between
        on days_between.site_id = opened_with.site_id
        and days_between.meter_id = opened_with.meter_id
        and days_between.register = opened_with.register
        and days_between.local_date = opened_with.local_date
    left join meter_days
        on meter_days.site_id = opened_with.site_id
        and meter_days.meter_id = opened_with.meter_id
        and meter_days.local_date = opened_with.local_date
),

-- What the intervals state more than the register counted: since the reading before, and from the day's first reading to
-- its last. Null where not all of these intervals are known; nothing where the device was replaced.
apart as (
    select
        *,
        case
            when opening_cut is not null and opening_cut <> 'rollover' then 0
            when
                whole_total is not null
                and are_days_between_whole
                -- Of the earlier reading's day only what came after it.
                and (before_at_utc = lag(day_end_utc) over series or lag(whole_total) over series is not null)
                then total_between + open_between / 2 - opening_advance
        end::decimal(18, 6) as apart_since,
        (
            whole_total
            - before_first.stated - before_first.open / 2 - after_last.stated - after_last.open / 2
            - coalesce(list_sum(list_transform(
                list_filter(cuts, lambda c: c.cut <> 'rollover'), lambda c: c.total_between
            )), 0)
            - advance
        )::decimal(18, 6) as apart_within
    from counted
    window series as (partition by site_id, meter_id, register order by local_date)
),

final as (
    select
        site_id,
        meter_id,
        register,
        local_date,
        zone,
        day_end_utc,
        first_read_at_utc,
        last_read_at_utc,
        first_index,
        last_index,
        coalesce(is_installation, false) as is_installation,
        glitches::integer as glitches,
        readings::integer as readings,
        case
            when opening_cut is null then cuts
            else list_prepend({
                'cut': opening_cut, 'before_at_utc': before_at_utc, 'read_at_utc': first_read_at_utc,
                'index_before': index_before, 'index_after': first_index, 'total_between': total_between,
                'open_between': open_between
            }, coalesce(cuts, []))
        end as cuts,
        opening_cut,
        first_column,
        is_crossed,
        {
            'before_at_utc': before_at_utc, 'first_at_utc': first_read_at_utc, 'last_at_utc': last_read_at_utc,
            'apart_since': apart_since, 'counted_since': opening_advance::decimal(18, 6), 'apart_within': apart_within,
            'open_at_first': coalesce(before_first.open, 0)::decimal(18, 6),
            'open_at_last': coalesce(after_last.open, 0)::decimal(18, 6)
        } as steps,
        -- Seen from the register: each leaves the column in which it stood, and goes on in the other.
        list_transform(all_exchanges, lambda e, number: case
            when (register = 'import') <> ((was_crossed::integer + number) % 2 = 0)
                then {
                    'before_at_utc': e.before_at_utc, 'read_at_utc': e.read_at_utc, 'column_after': 'export',
                    'index_before': e.import_before, 'index_after': e.export_after
                }
            else {
                'before_at_utc': e.before_at_utc, 'read_at_utc': e.read_at_utc, 'column_after': 'import',
                'index_before': e.export_before, 'index_after': e.import_after
            }
        end) as swaps,
        -- What the register has counted since its first known index, over all cuts: never falls.
        -- Null where wrong readings added up to more than it can hold: not known, rather than no build.
        try_cast(sum(opening_advance + advance) over (
            partition by site_id, meter_id, register order by local_date rows unbounded preceding
        ) as decimal(18, 6)) as counted_at_last
    from apart
    order by site_id, meter_id, register, local_date
)

select * from final
