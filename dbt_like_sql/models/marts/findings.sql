{{ config(
    materialized='incremental',
    incremental_strategy='append',
    pre_hook="{{ delete_days_to_build(['findings'], column='utc_date') }}"
) }}

with

found as (
    select * from {{ ref('stg_climkit__findings') }}
    where {{ days_to_build(['findings'], column='utc_date') }}
),

final as (
    select
        found_at_utc,
        code,
        dataset,
        site_id,
        subject_id,
        first_day,
        last_day,
        occurrences,
        samples,
        utc_date
    from found
    order by found_at_utc, dataset, site_id, subject_id, code
)

select * from final
