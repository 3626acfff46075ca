select
    dataset,
    site_id,
    max(local_date) as latest_snapshot_on
from {{ ref('coverage_days') }}
where dataset in ('sites', 'meters', 'sensors') and state <> 'failed'
group by dataset, site_id
