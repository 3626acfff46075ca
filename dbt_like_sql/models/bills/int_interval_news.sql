-- When values of the meter's intervals first came, or went, after the last call that the closed version stands on.
with

months as (
    select distinct
        site_id,
        meter_id,
        billing_month,
        next_month,
        lake_as_of_utc
    from {{ ref('int_differing_quantities') }}
),

changed as (
    select site_id, meter_id, local_date, fetched_at_utc as told_at_utc
    from {{ ref('meter_intervals') }}
    semi join months using (site_id, meter_id)
    union all
    select site_id, meter_id, local_date, fetched_at_utc
    from {{ ref('meter_intervals_superseded') }}
    union all
    select site_id, meter_id, local_date, superseded_at_utc
    from {{ ref('meter_intervals_superseded') }}
)

select
    months.site_id,
    months.meter_id,
    months.billing_month,
    min(changed.told_at_utc) as first_at_utc
from changed
inner join months
    on months.site_id = changed.site_id
    and months.meter_id = changed.meter_id
    and months.billing_month <= changed.local_date
    and months.next_month > changed.local_date
    and months.lake_as_of_utc < changed.told_at_utc
group by months.site_id, months.meter_id, months.billing_month
