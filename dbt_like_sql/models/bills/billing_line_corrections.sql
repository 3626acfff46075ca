{{ config(order_by='billing_month, site_id, billing_point, meter_id, version') }}

-- What occupants have to be billed more, or less, than was closed: settled differences stay, those that nobody settled
-- yet are of the version in force. Only quantities of a bill: their deltas may be added up.
with

changes as (
    select * from {{ ref('int_settled_line_changes') }}
    union all by name
    select * from {{ ref('closed_line_changes') }}
),

-- Whether what the meter told is another, from one version to the next, or since.
contents as (
    select
        site_id,
        meter_id,
        billing_month,
        version,
        unit,
        content_hash
    from {{ ref('billing_closed_versions') }}
),

causes as (
    select distinct on (site_id, meter_id, billing_month)
        site_id,
        meter_id,
        billing_month,
        cause
    from {{ ref('billing_corrections') }}
    order by site_id, meter_id, billing_month, cause = 'values' desc, cause
)

select
    changes.site_id,
    sites.site_name,
    changes.billing_month,
    changes.billing_point,
    changes.occupant,
    changes.meter_id,
    meters.meter_name,
    meters.meter_type,
    changes.quantity,
    coalesce(settled.unit, before_it.unit) as unit,
    changes.closed_value,
    changes.current_value,
    (coalesce(changes.current_value, 0) - coalesce(changes.closed_value, 0))::decimal(18, 6) as delta,
    case
        when changes.settled_version is null then coalesce(causes.cause, 'decision')
        when before_it.content_hash is distinct from settled.content_hash then 'values'
        when versions_before.inputs_digest is distinct from versions.inputs_digest then 'decision'
        else 'calculation'
    end as cause,
    changes.version,
    changes.settled_version,
    changes.settled_at_utc,
    changes.settled_by,
    changes.settled_why
from changes
left join {{ ref('sites') }} as sites on sites.site_id = changes.site_id
left join {{ ref('meters') }} as meters
    on meters.site_id = changes.site_id
    and meters.meter_id = changes.meter_id
left join causes
    on causes.site_id = changes.site_id
    and causes.meter_id = changes.meter_id
    and causes.billing_month = changes.billing_month
left join contents as before_it
    on before_it.site_id = changes.site_id
    and before_it.meter_id = changes.meter_id
    and before_it.billing_month = changes.billing_month
    and before_it.version = changes.version
left join contents as settled
    on settled.site_id = changes.site_id
    and settled.meter_id = changes.meter_id
    and settled.billing_month = changes.billing_month
    and settled.version = changes.settled_version
left join {{ ref('billing_closings') }} as versions_before
    on versions_before.site_id = changes.site_id
    and versions_before.billing_month = changes.billing_month
    and versions_before.version = changes.version
left join {{ ref('billing_closings') }} as versions
    on versions.site_id = changes.site_id
    and versions.billing_month = changes.billing_month
    and versions.version = changes.settled_version
