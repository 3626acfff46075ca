with

shipped as (
    select * from {{ ref('quality_checks') }}
),

stated as (
    select * from {{ source('pipeline', 'tolerances') }}
),

final as (
    select
        shipped.check_name,
        shipped.severity,
        coalesce(stated.tolerance, shipped.tolerance)::decimal(18, 6) as tolerance,
        shipped.tolerance_unit,
        shipped.applies_to,
        shipped.spreads_to,
        shipped.accepted_for,
        coalesce(stated.reason, shipped.why) as why,
        stated.check_name is not null as is_overridden,
        shipped.position
    from shipped
    left join stated on stated.check_name = shipped.check_name
    order by shipped.position
)

select * from final
