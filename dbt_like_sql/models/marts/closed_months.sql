{% set frozen_names = names_in(source('pipeline', 'closed_rows').include(database=false)) %}

with

versions as (
    select * from {{ source('pipeline', 'closed_versions') }}
),

closed_rows as (
    select * from {{ source('pipeline', 'closed_rows') }}
),

inputs as (
    select * from {{ ref('int_inputs_monthly') }}
),

-- The version that counts: the latest; none after a reopening.
latest as (
    select
        site_id,
        billing_month,
        max(version) as version,
        max_by(kind, version) as kind,
        max_by(frozen_columns, version) as frozen_columns
    from versions
    group by site_id, billing_month
),

rows_of_latest as (
    select closed_rows.*
    from closed_rows
    semi join latest using (site_id, billing_month, version)
),

inputs_of_closed as (
    select inputs.*
    from inputs
    semi join latest using (site_id, billing_month)
),

final as (
    select
        latest.site_id,
        latest.billing_month,
        latest.version,
        coalesce(rows_of_latest.meter_id, inputs_of_closed.meter_id) as meter_id,
        {% for name in invoiced_quantities().split() -%}
        {% if name in frozen_names %}case when not coalesce(rows_of_latest.was_excluded, false) then rows_of_latest."{{ name }}" end{% else %}null{% endif %}::decimal(18, 6) as {{ name }},
        {% endfor -%}
        {% if 'is_billed' in frozen_names %}coalesce(rows_of_latest."is_billed", false){% else %}false{% endif %} as was_billed,
        latest.frozen_columns,
        coalesce(inputs_of_closed.is_excluded, false) as is_excluded
    from rows_of_latest
    -- A meter may have come to light since the month was closed.
    full join inputs_of_closed
        on inputs_of_closed.site_id = rows_of_latest.site_id
        and inputs_of_closed.billing_month = rows_of_latest.billing_month
        and inputs_of_closed.meter_id = rows_of_latest.meter_id
    inner join latest
        on latest.site_id = coalesce(rows_of_latest.site_id, inputs_of_closed.site_id)
        and latest.billing_month = coalesce(rows_of_latest.billing_month, inputs_of_closed.billing_month)
    where latest.kind <> 'reopen'
    order by latest.site_id, latest.billing_month, meter_id
)

select * from final
