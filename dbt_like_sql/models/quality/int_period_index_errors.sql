{{ config(materialized='view') }}
{# More than a share is, and what is divided by at least. #}
{% set beyond_all = 1000000 %}
{% set least = 0.000001 %}

-- By which share what the intervals add up to differs from what the registers counted, where two steps do not explain
-- it.
with

compared as (
    select
        *,
        total - unmeasured - index_advance as difference,
        -- Two steps, one at each bound, and what an interpolated bound leaves open.
        2 * step + index_uncertainty as difference_allowed,
        -- However little is known of the days that dropped out, the others can't hold more than was counted on all.
        greatest(0, total - unmeasured - whole_advance - (2 * step + index_uncertainty - dropped_uncertainty))
            as beyond_whole,
        case when days_of_load_curve = days_over and days_over > 0 then total - load_curve_total end
            as load_curve_difference,
        is_over and intervals_present > 0 as is_comparable
    from {{ ref('int_period_measures') }}
),

-- A load curve is compared by its own sum. What bounds leave open when they are interpolated, the readings in between
-- and around may still tell.
shares as (
    select
        *,
        case
            when difference is null then null
            when abs(difference) <= difference_allowed then 0
            else least(abs(difference) / greatest(abs(index_advance), {{ least }}), {{ beyond_all }})
        end as difference_share,
        case
            when beyond_whole > 0 then least(beyond_whole / greatest(abs(whole_advance), {{ least }}), {{ beyond_all }})
        end as beyond_share,
        case
            when load_curve_difference is null or difference is not null or beyond_whole > 0 then null
            when abs(load_curve_difference) <= 0.001 then 0
            else least(abs(load_curve_difference) / greatest(abs(load_curve_total), {{ least }}), {{ beyond_all }})
        end as load_curve_share,
        case
            when apart_inside is null or apart_inside_allowed is null then null
            when abs(apart_inside) <= apart_inside_allowed then 0
            else least(abs(apart_inside) / greatest(abs(total), {{ least }}), {{ beyond_all }})
        end as inside_share,
        case
            when apart_around is null or apart_around_allowed is null then null
            when abs(apart_around) <= apart_around_allowed then 0
            else least(abs(apart_around) / greatest(abs(total) + counted_around, {{ least }}), {{ beyond_all }})
        end as around_share,
        case
            when counted_before_values > difference_allowed
                then least(counted_before_values / greatest(abs(total), {{ least }}), {{ beyond_all }})
        end as before_share
    from compared
)

select
    site_id,
    meter_id,
    period_from,
    difference_allowed,
    case when is_comparable then greatest(difference_share, beyond_share, load_curve_share) end as bounds_error,
    case when is_comparable then greatest(
        difference_share, beyond_share, load_curve_share, inside_share, around_share, before_share
    ) end as index_error,
    -- An interpolated bound, or a time that no register measured, confirms nothing when it leaves much open.
    coalesce({{ is_sharp(
        'index_uncertainty + abs(coalesce(unmeasured, 0))', 'step', 'index_advance', 'index_tolerance'
    ) }}, true) as is_index_sharp
from shares
