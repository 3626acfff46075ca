with

register_days as (
    select * from {{ ref('int_register_days') }}
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
                and abs(first_days.first_index - first_days.total_before_first) <= first_days.step
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
        register_days.total_before_first,
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
        lag(last_read_at_utc) over series = day_start_utc
            and total_before_first is not null
            and not is_jumping
            and (register in (usual_register, 'import') or has_split) as is_total_known
    from followed
    window series as (partition by site_id, meter_id, register order by local_date)
),

judged as (
    select
        *,
        {{ register_cut('index_before', 'first_index', 'total_before_first', 'coalesce(is_total_known, false)') }}
            as opening_cut
    from linked
),

counted as (
    select
        *,
        case opening_cut
            when 'rollover' then {{ rollover_advance('index_before', 'first_index') }}
            when 'fall' then 0
            when 'jump' then 0
            else coalesce(first_index - index_before, 0)
        end as opening_advance
    from judged
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
                'index_before': index_before, 'index_after': first_index, 'total_between': total_before_first
            }, coalesce(cuts, []))
        end as cuts,
        opening_cut,
        first_column,
        is_crossed,
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
        sum(opening_advance + advance) over (
            partition by site_id, meter_id, register order by local_date rows unbounded preceding
        )::decimal(18, 6) as counted_at_last
    from counted
    order by site_id, meter_id, register, local_date
)

select * from final
