with

-- A line ends with its validity, the life of a meter does not: its dates hold whatever days the line is valid for.
bounds as (
    select site_id, meter_id, valid_from, in_service_from as bound_on, false as is_end
    from {{ ref('meter_facts') }}
    where in_service_from is not null
    union all
    select site_id, meter_id, valid_from, in_service_until, true
    from {{ ref('meter_facts') }}
    where in_service_until is not null
),

neighbours as (
    select
        *,
        lag(is_end) over life as is_after_end,
        lead(is_end) over life as is_before_end
    from bounds
    window life as (partition by site_id, meter_id order by bound_on, valid_from, is_end)
),

-- Of several beginnings without an end between them the first counts, of several ends the last.
turns as (
    select *
    from neighbours
    where case when is_end then not coalesce(is_before_end, false) else coalesce(is_after_end, true) end
),

-- What ends on one day and begins on the same or the next goes on: no day lies between, so each of the two days is due
-- as a whole, not only from and to its values.
paired as (
    select
        *,
        case when is_end then lead(bound_on) over life - bound_on else bound_on - lag(bound_on) over life end
            as days_apart
    from turns
    window life as (partition by site_id, meter_id order by bound_on, valid_from, is_end)
),

breaks as (
    select *
    from paired
    where coalesce(days_apart > 1, true)
),

stretches as (
    select
        site_id,
        meter_id,
        case when not is_end then bound_on end as in_service_from,
        case when is_end then bound_on else lead(bound_on) over life end as in_service_until
    from breaks
    window life as (partition by site_id, meter_id order by bound_on, valid_from, is_end)
    qualify not is_end or lag(bound_on) over life is null
)

select
    site_id,
    meter_id,
    stretches.in_service_from,
    stretches.in_service_until,
    coalesce(stretches.in_service_from, date '1900-01-01') as first_day,
    coalesce(stretches.in_service_until, date '9999-12-31') as last_day
from {{ ref('int_meters') }} as meters
left join stretches using (site_id, meter_id)
