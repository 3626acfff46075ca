{{ config(watch="date_trunc('month', local_date)::date as billing_month, *") }}

with

own_cuts as (
    select * from {{ ref('int_register_own_cuts') }}
    where cut <> 'rollover'
),

registers_of_meters as (
    select distinct
        site_id,
        meter_id,
        register
    from {{ ref('int_register_links') }}
    semi join own_cuts using (site_id, meter_id)
),

-- A replacement is one of the whole device: over that time no register of it counted on, unless it is cut there itself.
passed_on as (
    select
        registers.site_id,
        registers.meter_id,
        registers.register,
        cuts.before_at_utc,
        cuts.read_at_utc
    from own_cuts as cuts
    inner join registers_of_meters as registers
        on registers.site_id = cuts.site_id
        and registers.meter_id = cuts.meter_id
        and registers.register <> cuts.register
    left join own_cuts as its_own
        on its_own.site_id = cuts.site_id
        and its_own.meter_id = cuts.meter_id
        and its_own.register = registers.register
        and its_own.before_at_utc < cuts.read_at_utc
        and its_own.read_at_utc > cuts.before_at_utc
    where cuts.cut <> 'sibling' and its_own.site_id is null
),

siblings as (
    select distinct
        links.site_id,
        links.meter_id,
        links.register,
        links.local_date
    from {{ ref('int_register_links') }} as links
    inner join passed_on
        on passed_on.site_id = links.site_id
        and passed_on.meter_id = links.meter_id
        and passed_on.register = links.register
        and passed_on.before_at_utc < links.first_read_at_utc
        and passed_on.read_at_utc > links.before_at_utc
),

shown as (
    select
        site_id,
        meter_id,
        register,
        local_date,
        cut
    from {{ ref('int_register_own_cuts') }}
    where is_opening
)

select
    site_id,
    meter_id,
    register,
    local_date,
    case when shown.cut in ('fall', 'jump', 'dated') or siblings.site_id is null then shown.cut else 'sibling' end as cut
from shown
full join siblings using (site_id, meter_id, register, local_date)
order by site_id, meter_id, register, local_date
