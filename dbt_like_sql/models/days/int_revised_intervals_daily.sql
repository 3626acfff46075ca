-- A new value where the interval had another before; a row that was withdrawn differs from nothing, too.
select
    site_id,
    subject_id as meter_id,
    local_date,
    count(distinct interval_start_utc)::integer as intervals_revised
from {{ ref('revisions') }}
where dataset = 'meter_intervals'
group by site_id, subject_id, local_date
