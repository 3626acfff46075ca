with

versions as (
    select * from {{ source('pipeline', 'closed_versions') }}
),

-- What a version says was known when the last call was made that it stands on, and nothing that an earlier version
-- did not know was known before that one was made.
dated as (
    select
        *,
        case
            when kind = 'reopen' then closed_at_utc
            when version = 1 then lake_as_of_utc
            when lake_as_of_utc > lag(closed_at_utc) over versions_in_order then lake_as_of_utc
            else closed_at_utc
        end as valid_from_utc
    from versions
    window versions_in_order as (partition by site_id, billing_month order by version)
),

final as (
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
    from dated
    window versions_in_order as (partition by site_id, billing_month order by version)
    order by site_id, billing_month, version
)

select * from final
