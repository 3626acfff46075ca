{{ config(materialized='view', post_hook="{{ describe_as('billing_monthly') }}") }}

with

versions as (
    select * from {{ ref('billing_closed_versions') }}
),

final as (
    select * exclude (is_closed, valid_until_utc)
    from versions
    where is_closed
)

select * from final
