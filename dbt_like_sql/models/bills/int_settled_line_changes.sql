-- What one version of a month states otherwise than the one before it.
with

versions as (
    select
        *,
        lag(version) over (partition by site_id, billing_month order by version) as before_version
    from {{ ref('billing_closings') }}
    where list_contains(frozen_columns, 'lines')
),

values_of_versions as (
    select *
    from {{ ref('billing_closed_lines') }}
    unpivot include nulls (value for quantity in (total, solar, grid))
    where not was_excluded
)

select
    versions.site_id,
    versions.billing_month,
    versions.before_version as version,
    versions.version as settled_version,
    versions.closed_at_utc as settled_at_utc,
    versions.closed_by as settled_by,
    versions.reason as settled_why,
    lines.meter_id,
    lines.billing_point,
    lines.occupant,
    lines.quantity,
    sum(lines.value) filter (where lines.version = versions.before_version)::decimal(18, 6) as closed_value,
    sum(lines.value) filter (where lines.version = versions.version)::decimal(18, 6) as current_value
from versions
inner join values_of_versions as lines
    on lines.site_id = versions.site_id
    and lines.billing_month = versions.billing_month
    and lines.version in (versions.before_version, versions.version)
where versions.before_version is not null
group by all
having closed_value is distinct from current_value
