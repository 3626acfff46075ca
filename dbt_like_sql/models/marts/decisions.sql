with

stated as (
    select * from {{ source('pipeline', 'decisions') }}
),

final as (
    select *
    from stated
    order by all
)

select * from final
