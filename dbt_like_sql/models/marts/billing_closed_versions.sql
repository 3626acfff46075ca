-- depends_on: {{ ref('meter_intervals_superseded') }}
-- depends_on: {{ ref('about') }}
{{ config(post_hook=["{{ describe_as('billing_monthly') }}", "{{ create_billing_as_of() }}"]) }}
{% set billing_columns = columns_of(ref('billing_monthly')) %}
{% set frozen_names = names_in(source('pipeline', 'closed_rows').include(database=false)) %}

with

frozen_rows as (
    select * from {{ source('pipeline', 'closed_rows') }}
),

closings as (
    select * from {{ ref('billing_closings') }}
),

final as (
    select
        {% for name, type in billing_columns -%}
        {% if name in frozen_names %}frozen_rows."{{ name }}"{% else %}null{% endif %}::{{ type }} as "{{ name }}",
        {% endfor -%}
        frozen_rows.version as closed_version,
        closings.kind as closed_kind,
        closings.closed_at_utc,
        closings.closed_by,
        closings.valid_from_utc,
        closings.valid_until_utc,
        closings.is_closed,
        frozen_rows.was_excluded,
        frozen_rows.inputs_hash
    from frozen_rows
    inner join closings
        on closings.site_id = frozen_rows.site_id
        and closings.billing_month = frozen_rows.billing_month
        and closings.version = frozen_rows.version
    order by frozen_rows.billing_month, frozen_rows.site_id, frozen_rows.meter_id, frozen_rows.version
)

select * from final
