with

stated as (
    select * from {{ source('pipeline', 'meter_facts') }}
),

final as (
    select *
    from stated
    order by all
)

select * from final
