with

versions as (
    select * from {{ source('pipeline', 'closed_versions') }}
),

closed_rows as (
    select * from {{ source('pipeline', 'closed_rows') }}
),

-- The version that counts: the latest; none after a reopening.
latest as (
    select
        site_id,
        billing_month,
        max(version) as version,
        max_by(kind, version) as kind
    from versions
    group by site_id, billing_month
),

final as (
    select
        latest.site_id,
        latest.billing_month,
        latest.version,
        closed_rows.meter_id,
        closed_rows.total::decimal(18, 6) as total,
        closed_rows.solar::decimal(18, 6) as solar,
        closed_rows.grid::decimal(18, 6) as grid
    from latest
    inner join closed_rows
        on closed_rows.site_id = latest.site_id
        and closed_rows.billing_month = latest.billing_month
        and closed_rows.version = latest.version
    where latest.kind <> 'reopen'
    order by latest.site_id, latest.billing_month, closed_rows.meter_id
)

select * from final
