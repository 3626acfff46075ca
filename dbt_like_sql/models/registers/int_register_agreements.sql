{{ config(materialized='by_month', month_column='local_date', goes_on=true) }}

-- What the registers of a meter and its intervals tell of which one counts.
with

-- The register that counts as a rule, and the other one of electricity.
both_sides as (
    select
        site_id,
        meter_id,
        local_date,
        meters.zone,
        meters.usual_register,
        max(midnights.bound_utc) as bound_utc,
        max(midnights.readings) as readings,
        sum(midnights.rollovers)::integer as rollovers,
        bool_or(midnights.is_crossed) as is_crossed,
        count(*) filter (where {{ is_other('register', 'meters.usual_register') }}) > 0 as has_other,
        max(midnights.advance) filter (where register = meters.usual_register) as usual_advance,
        max(midnights.advance) filter (where {{ is_other('register', 'meters.usual_register') }}) as other_advance,
        max(midnights.unmeasured) filter (where register = meters.usual_register) as usual_unmeasured,
        max(midnights.unmeasured) filter (where {{ is_other('register', 'meters.usual_register') }})
            as other_unmeasured,
        sum(midnights.uncertainty) filter (where register in ('import', 'export')) as uncertainty,
        -- For meters of which no one register counts.
        max(midnights.unmeasured) as unmeasured,
        max(midnights.open) as open
    from {{ ref('int_register_midnights') }} as midnights
    inner join {{ ref('int_meters') }} as meters using (site_id, meter_id)
    group by site_id, meter_id, local_date, meters.zone, meters.usual_register
),

mapped as (
    select
        both_sides.* exclude (uncertainty, usual_unmeasured, other_unmeasured),
        coalesce(facts.resolution, index_steps.step) as step,
        index_steps.usual_readings,
        case
            when facts.register_map in ('import', 'export', 'heat', 'volume') then facts.register_map
            when facts.register_map = 'swapped' then {{ other_register('both_sides.usual_register') }}
        end as stated_column,
        -- A battery has no one register that counts, and can be wired the other way round all the same.
        case when facts.register_map = 'swapped' then 'export' end as stated_drawn_column,
        meter_days.total - coalesce(usual_unmeasured, unmeasured) as usual_total,
        meter_days.total - coalesce(other_unmeasured, unmeasured) as other_total,
        greatest(2 * coalesce(facts.resolution, index_steps.step), abs(meter_days.total) * 0.001)
            + coalesce(uncertainty, 0) + open as slack
    from both_sides
    left join {{ ref('int_index_steps') }} as index_steps using (site_id, meter_id)
    left join (select * from {{ ref('meter_days') }} where {{ is_being_built() }}) as meter_days
        on meter_days.site_id = both_sides.site_id
        and meter_days.meter_id = both_sides.meter_id
        and meter_days.local_date = both_sides.local_date
        and meter_days.intervals_missing = 0
        and meter_days.intervals_null = 0
    left join {{ ref('meter_facts') }} as facts
        on facts.site_id = both_sides.site_id
        and facts.meter_id = both_sides.meter_id
        and both_sides.local_date between facts.valid_from and facts.valid_until
),

-- A day on which nothing was counted says nothing.
agreements as (
    select
        *,
        {{ in_column('stated_column') }} as stated_register,
        {{ in_column('stated_drawn_column') }} as stated_drawn_register,
        abs(usual_total) > slack and coalesce(abs(usual_advance - usual_total) <= slack, false) as usual_agrees,
        abs(other_total) > slack and coalesce(abs(other_advance - other_total) <= slack, false) as other_agrees
    from mapped
)

select
    * exclude (
        stated_column, stated_drawn_column, usual_agrees, other_agrees, usual_total, other_total, usual_advance,
        other_advance, slack
    ),
    -- Nor does a day on which both agree.
    case
        when usual_register not in ('import', 'export') or usual_agrees = other_agrees then null
        when usual_agrees then usual_register
        else {{ other_register('usual_register') }}
    end as agreeing_register
from agreements
