{{ config(watch="site_id, meter_id, first_day, last_day, meter_type, meter_mode, is_rule_meter") }}

with

compared as (
    select
        site_id,
        meter_id,
        local_date,
        meter_type,
        meter_mode,
        is_rule_meter,
        (meter_type, meter_mode, is_rule_meter) is distinct from lag((meter_type, meter_mode, is_rule_meter)) over life
            as is_change,
        row_number() over life = 1 as is_first
    from {{ ref('int_listed_meters_daily') }}
    window life as (partition by site_id, meter_id order by local_date)
),

-- Before it was ever listed, a meter was what it was listed as first.
stretches as (
    select
        site_id,
        meter_id,
        case when is_first then date '1900-01-01' else local_date end as first_day,
        coalesce(
            lead(local_date) over (partition by site_id, meter_id order by local_date) - 1, date '9999-12-31'
        ) as last_day,
        meter_type,
        meter_mode,
        is_rule_meter,
        case when meter_type in (select meter_type from {{ ref('meter_types') }}) then meter_type else '*' end
            as known_type,
        case when meter_mode in (select meter_mode from {{ ref('meter_types') }}) then meter_mode else '*' end
            as known_mode
    from compared
    where is_change
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
