{{ config(materialized='table', order_by='position') }}

-- The user's own tolerances take the place of those that are shipped.
select
    shipped.check_name,
    shipped.severity,
    coalesce(stated.tolerance, shipped.tolerance)::decimal(18, 6) as tolerance,
    shipped.tolerance_unit,
    shipped.applies_to,
    shipped.spreads_to,
    shipped.accepted_for,
    coalesce(stated.reason, shipped.why) as why,
    stated.check_name is not null as is_overridden,
    shipped.position,
    shipped.sentence,
    shipped.over_days,
    shipped.is_always_reason,
    shipped.waits_last,
    shipped.blocks_once_passed,
    shipped.counts_when_excluded,
    shipped.no_news_beside,
    shipped.mended_by,
    shipped.what_to_do
from {{ ref('quality_checks') }} as shipped
left join {{ source('pipeline', 'tolerances') }} as stated on stated.check_name = shipped.check_name
