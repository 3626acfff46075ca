-- The same of the site's electricity, which states what flowed.
with

months as (
    select distinct
        site_id,
        billing_month,
        next_month,
        lake_as_of_utc
    from {{ ref('int_differing_quantities') }}
),

changed as (
    select site_id, local_date, fetched_at_utc as told_at_utc
    from {{ ref('site_intervals') }}
    semi join months using (site_id)
    where meter_type = 'electricity'
    union all
    select site_id, local_date, revised_at_utc
    from {{ ref('revisions') }}
    where dataset = 'site_intervals' and subject_id = 'electricity'
)

select
    months.site_id,
    months.billing_month,
    min(changed.told_at_utc) as first_at_utc
from changed
inner join months
    on months.site_id = changed.site_id
    and months.billing_month <= changed.local_date
    and months.next_month > changed.local_date
    and months.lake_as_of_utc < changed.told_at_utc
group by months.site_id, months.billing_month
