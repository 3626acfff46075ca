{{ config(watch="date_trunc('month', local_date)::date as billing_month, *") }}

with

first_days as (
    select
        site_id,
        meter_id,
        register,
        local_date,
        days.zone,
        days.first_index,
        days.before_first_stated,
        days.is_before_first_whole,
        registers.usual_register,
        registers.step
    from {{ ref('int_register_days') }} as days
    inner join {{ ref('int_registers') }} as registers using (site_id, meter_id, register)
    where registers.series_kind = 'index' and local_date = registers.first_read_on
),

dated as (
    select
        site_id,
        meter_id,
        min(installed_on) as installed_on
    from {{ ref('meter_facts') }}
    group by site_id, meter_id
)

-- As the user dated it, or where the first reading is what the intervals of its day add up to.
select
    first_days.site_id,
    first_days.meter_id,
    first_days.register,
    calendar.local_date - 1 as local_date,
    calendar.day_start_utc as installed_at_utc
from first_days
left join dated using (site_id, meter_id)
inner join {{ ref('calendar_days') }} as calendar
    on calendar.zone = first_days.zone
    and calendar.local_date = case
        when dated.installed_on <= first_days.local_date then dated.installed_on
        when
            dated.installed_on is null
            and first_days.register in (first_days.usual_register, 'import')
            and first_days.is_before_first_whole
            and abs(first_days.first_index - first_days.before_first_stated) <= first_days.step
            then first_days.local_date
    end
order by first_days.site_id, first_days.meter_id, first_days.register
