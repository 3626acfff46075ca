{{ config(
    materialized='incremental',
    incremental_strategy='append',
    pre_hook="{{ delete_days_to_build('all', 'coverage') }}"
) }}

with

coverage as (
    select * from {{ ref('stg_climkit__coverage') }}
    where {{ days_to_build('all', 'coverage') }}
),

final as (
    select
        dataset,
        site_id,
        subject_id,
        local_date,
        state,
        interval_minutes,
        expected,
        received,
        gaps,
        equal_answers,
        equal_after_month,
        first_asked_at_utc,
        last_asked_at_utc,
        last_changed_at_utc,
        detail
    from coverage
    order by date_trunc('month', local_date), dataset, site_id, subject_id, local_date
)

select * from final
