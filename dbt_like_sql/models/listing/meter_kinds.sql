{{ config(watch="site_id, meter_id, first_day, last_day, meter_type, meter_mode, is_rule_meter") }}

with

-- A list that states no mode says nothing of it: the meter is what lists before it said, else what later ones do.
listed as (
    select
        site_id,
        meter_id,
        local_date,
        meter_type,
        nullif(meter_mode, 'unknown') as stated,
        coalesce(
            last_value(stated ignore nulls) over (life rows between unbounded preceding and current row),
            first_value(stated ignore nulls) over (life rows between current row and unbounded following)
        ) as meter_mode,
        is_rule_meter
    from {{ ref('int_listed_meters_daily') }}
    window life as (partition by site_id, meter_id order by local_date)
),

changes as (
    select
        *,
        row_number() over life = 1 as is_first
    from listed
    window life as (partition by site_id, meter_id order by local_date)
    qualify (meter_type, meter_mode, is_rule_meter) is distinct from lag((meter_type, meter_mode, is_rule_meter)) over life
),

-- Before it was ever listed, a meter was what it was listed as first.
listed_stretches as (
    select
        * exclude (local_date, stated, is_first),
        case when is_first then date '1900-01-01' else local_date end as first_day,
        coalesce(
            lead(local_date) over (partition by site_id, meter_id order by local_date) - 1, date '9999-12-31'
        ) as last_day
    from changes
),

facts as (
    select site_id, meter_id, valid_from, valid_until, meter_mode
    from {{ ref('meter_facts') }}
    where meter_mode is not null
),

beginnings as (
    select site_id, meter_id, first_day from listed_stretches
    union
    select site_id, meter_id, valid_from from facts
    union
    select site_id, meter_id, valid_until + 1 from facts where valid_until < date '9999-12-31'
),

-- Where more than half of the values of a meter are split, it consumes.
consumers as (
    select
        site_id,
        meter_id
    from {{ ref('int_stated_splits_daily') }}
    group by site_id, meter_id
    having 2 * sum(intervals_with_split) > sum(intervals_with_value)
),

described as (
    select
        beginnings.*,
        listed_stretches.meter_type,
        coalesce(
            facts.meter_mode, listed_stretches.meter_mode, case when consumers.site_id is not null then 'consumption' end,
            'unknown'
        ) as meter_mode,
        case
            when facts.meter_mode is not null then 'meters.csv'
            when listed_stretches.meter_mode is not null then 'list'
            when consumers.site_id is not null then 'split'
        end as mode_source,
        listed_stretches.is_rule_meter
    from beginnings
    inner join listed_stretches
        on listed_stretches.site_id = beginnings.site_id
        and listed_stretches.meter_id = beginnings.meter_id
        and beginnings.first_day between listed_stretches.first_day and listed_stretches.last_day
    left join facts
        on facts.site_id = beginnings.site_id
        and facts.meter_id = beginnings.meter_id
        and beginnings.first_day between facts.valid_from and facts.valid_until
    left join consumers
        on consumers.site_id = beginnings.site_id
        and consumers.meter_id = beginnings.meter_id
),

stretches as (
    select
        *,
        coalesce(lead(first_day) over (partition by site_id, meter_id order by first_day) - 1, date '9999-12-31')
            as last_day,
        case when meter_type in (select meter_type from {{ ref('meter_types') }}) then meter_type else '*' end
            as known_type,
        case when meter_mode in (select meter_mode from {{ ref('meter_types') }}) then meter_mode else '*' end
            as known_mode
    from (
        select *
        from described
        window life as (partition by site_id, meter_id order by first_day)
        qualify (meter_type, meter_mode, is_rule_meter, mode_source)
            is distinct from lag((meter_type, meter_mode, is_rule_meter, mode_source)) over life
    )
)

select
    stretches.* exclude (known_type, known_mode),
    types.unit,
    coalesce(types.carrier, stretches.meter_type) as carrier,
    case when stretches.is_rule_meter then 'sum_of_meters' else types.meter_role end as meter_role,
    types.has_split,
    types.is_in_split,
    -- Rule meters have no raw data.
    case when not coalesce(stretches.is_rule_meter, false) then types.usual_register end as usual_register
from stretches
inner join {{ ref('meter_types') }} as types
    on types.meter_type = stretches.known_type
    and types.meter_mode = stretches.known_mode
