with

rows_of_days as (
    select * from {{ source('climkit', 'findings') }}
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
        day as utc_date
    from rows_of_days
)

select * from final
