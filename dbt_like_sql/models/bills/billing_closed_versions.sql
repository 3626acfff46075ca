-- The frozen rows with the columns of billing_monthly, null where a version did not know one.
with

frozen as (
    select * from {{ ref('billing_monthly') }} where false
    union all by name
    select * from {{ source('pipeline', 'closed_rows') }}
)

select
    frozen.* exclude (version, was_excluded, inputs_hash, lines),
    version,
    closings.kind as closed_kind,
    closings.closed_at_utc,
    closings.closed_by,
    closings.valid_from_utc,
    closings.valid_until_utc,
    closings.is_closed,
    frozen.was_excluded,
    frozen.inputs_hash
from frozen
inner join {{ ref('billing_closings') }} as closings using (site_id, billing_month, version)
