{{ config(materialized='table') }}

-- The first version says what was known since the last call that it stands on; each later one, what is in force since
-- it was made.
with

versions as (
    select
        *,
        case when version = 1 then lake_as_of_utc else closed_at_utc end as valid_from_utc
    from {{ source('pipeline', 'closed_versions') }}
)

select
    site_id,
    billing_month,
    version,
    kind,
    closed_at_utc,
    closed_by,
    reason,
    meters,
    valid_from_utc,
    lead(valid_from_utc) over versions_in_order as valid_until_utc,
    lead(version) over versions_in_order is null and kind <> 'reopen' as is_closed,
    lake_as_of_utc,
    content_hash,
    lake_state,
    inputs_digest,
    pipeline_version,
    models_version,
    frozen_columns
from versions
window versions_in_order as (partition by site_id, billing_month order by version)
