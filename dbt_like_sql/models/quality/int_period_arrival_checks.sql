{{ config(materialized='view') }}
{# Days without a value after which a meter that is listed has ended. #}
{% set days_of_silence = 8 %}

-- Whether a period has all that it waits for.
with

measured as (
    select
        measures.*,
        greatest(0, measures.days_over - measures.days_asked) as days_not_asked,
        -- Of this meter itself: that others were asked later says nothing about its late data. One that is gone cannot
        -- be asked again.
        case
            when measures.is_over and measures.last_fetched_at_utc is not null then greatest(
                0,
                measures.close_after_days - (
                    epoch_us(case when measures.is_gone then measures.as_of_utc else measures.last_fetched_at_utc end)
                    - epoch_us(measures.period_end_utc)
                ) / 86400000000.0
            )
        end as days_too_young,
        -- What the index confirms needs no second answer.
        coalesce(
            errors.bounds_error <= measures.index_tolerance
            and errors.index_error <= measures.index_tolerance
            and errors.is_index_sharp,
            false
        ) as is_confirmed_by_index
    from {{ ref('int_period_measures') }} as measures
    inner join {{ ref('int_period_index_errors') }} as errors using (site_id, meter_id, period_from)
)

select
    'not_fetched' as check_name, site_id, meter_id, period_from, days_not_asked::double as measured,
    null::boolean as has_passed, days_over::varchar as detail
from measured
union all
select 'running', site_id, meter_id, period_from, case when is_over then 0 else 1 end, null, null
from measured
union all
select
    'too_young', site_id, meter_id, period_from, days_too_young, null,
    {{ number_of('close_after_days', 'day', 'days') }}
from measured
union all
select 'starts_inside', site_id, meter_id, period_from, days_before_first_value, null, first_value_on::varchar
from measured
where first_value_on >= period_from
union all
select 'ends_inside', site_id, meter_id, period_from, days_after_last_value, null, last_value_on::varchar
from measured
where
    last_value_on between period_from and period_until
    and (
        not is_listed_now
        or epoch_us(as_of_utc) / 86400000000 - (last_value_on - date '1970-01-01') > {{ days_of_silence }}
    )
union all
select 'no_data', site_id, meter_id, period_from, case when intervals_present = 0 then 1 else 0 end, null, null
from measured
where days_asked > 0
union all
select
    'not_confirmed', site_id, meter_id, period_from,
    case when is_confirmed_by_index then 0 else days_unconfirmed end, null,
    case
        when is_gone then 'the meter is no longer listed and cannot be asked again'
        else 'run climkit backfill ' || period_from || ' ' || period_until || ' --site ' || site_id
            || ' --dataset meter_intervals --refetch'
    end
from measured
where is_over and days_not_asked = 0 and days_open = 0 and days_too_young = 0 and days_over > 0
