{{ config(materialized='view') }}

-- A day that is excluded drops out like one out of service. Where nothing else is left, the row still tells what is
-- there, and is not billed.
select
    *,
    -- What a day's quantities may be added up with: the same unit, direction and split.
    concat_ws(' ', coalesce(unit, 'of unknown unit'), meter_mode, case when has_split then 'split' end) as kind
from {{ ref('int_period_days') }}
qualify not is_excluded or bool_and(is_excluded) over (partition by site_id, meter_id, period_from)
