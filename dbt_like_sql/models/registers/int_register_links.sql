{{ config(materialized='by_month', month_column='local_date', goes_on=true) }}

-- Each day of a register joined to the day with readings before it, and what its readings show between the two.
with

-- Since when readings are needed: the last that each register of a meter showed before what is being built.
reading_before as (
    select
        site_id,
        meter_id,
        min(last_read_on) as last_read_on
    from (
        select site_id, meter_id, register, max(local_date) as last_read_on
        from {{ ref('int_register_days') }}
        where first_read_at_utc is not null and local_date < {{ built_from() }}
        group by site_id, meter_id, register
    )
    group by site_id, meter_id
),

-- A register is followed through its columns, under the name of the one in which it was read first: to change places is
-- no cut.
followed as (
    select
        site_id,
        meter_id,
        case
            when crossings.starts_crossed and register in ('import', 'export') then {{ other_register('register') }}
            else register
        end as register,
        register as first_column,
        coalesce(crossings.is_crossed and register in ('import', 'export'), false) as is_crossed,
        local_date,
        days.day_start_utc,
        days.day_end_utc,
        false as is_installation,
        days.first_read_at_utc,
        days.last_read_at_utc,
        days.first_index,
        days.last_index,
        days.advance,
        days.readings,
        days.is_jumping,
        days.before_first_stated,
        days.before_first_open,
        days.is_before_first_whole,
        days.after_last_stated,
        days.after_last_open,
        registers.usual_register,
        registers.has_split
    from {{ ref('int_register_days') }} as days
    inner join {{ ref('int_registers') }} as registers using (site_id, meter_id, register)
    left join {{ ref('int_register_crossings') }} as crossings using (site_id, meter_id, local_date)
    left join reading_before using (site_id, meter_id)
    where
        days.first_read_at_utc is not null
        and registers.series_kind = 'index'
        and local_date >= coalesce(reading_before.last_read_on, {{ built_from() }})
        and local_date <= {{ built_until() }}
    union all by name
    -- The index 0 of an installation, behind which there is no reading.
    select
        site_id,
        meter_id,
        register,
        register as first_column,
        false as is_crossed,
        local_date,
        installed_at_utc as day_end_utc,
        true as is_installation,
        installed_at_utc as first_read_at_utc,
        installed_at_utc as last_read_at_utc,
        0 as first_index,
        0 as last_index,
        0 as advance,
        0 as readings
    from {{ ref('int_register_installations') }}
),

linked as (
    select
        *,
        lag(local_date) over series as date_before,
        lag(last_read_at_utc) over series as before_at_utc,
        lag(last_index) over series as index_before,
        lag(after_last_stated) over series as stated_before,
        lag(after_last_open) over series as open_before,
        lag(last_read_at_utc = day_end_utc) over series as is_read_at_midnight_before,
        -- Whether the intervals tell what it counted since the reading before.
        coalesce(
            before_at_utc = day_start_utc
            and is_before_first_whole
            and not is_jumping
            and {{ is_comparable('linked') }},
            false
        ) as is_total_known
    from followed as linked
    window series as (partition by site_id, meter_id, register order by local_date)
)

select
    * exclude (day_start_utc, is_jumping, is_before_first_whole, usual_register, has_split, is_total_known),
    {{ register_cut('index_before', 'first_index', 'before_first_stated', 'is_total_known') }} as shown_cut
from linked
