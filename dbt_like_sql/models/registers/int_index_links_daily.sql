{{ config(materialized='by_month', month_column='local_date', goes_on=true) }}

with

counts as (
    select * from {{ ref('int_register_counts') }}
    where
        {{ is_around_built() }}
        or local_date in (select silent_until from {{ ref('int_register_silences') }})
)

-- A day without a reading has only the readings around it.
select
    roles.site_id,
    roles.meter_id,
    roles.local_date,
    case when midnights.read_on = roles.local_date then last_read.before_at_utc end as before_at_utc,
    case when midnights.read_on = roles.local_date then last_read.first_read_at_utc end as first_at_utc,
    last_read.last_read_at_utc as last_at_utc,
    next_read.first_read_at_utc as next_at_utc,
    case when midnights.read_on = roles.local_date then last_read.apart_since end as apart_since,
    case when midnights.read_on = roles.local_date then last_read.counted_since end as counted_since,
    case when midnights.read_on = roles.local_date then last_read.apart_within end as apart_within,
    next_read.apart_since as apart_next,
    next_read.counted_since as counted_next,
    case when midnights.read_on = roles.local_date then last_read.open_at_first end as open_at_first,
    last_read.open_at_last,
    next_read.open_at_first as open_at_next
from {{ ref('int_register_roles') }} as roles
inner join {{ ref('int_register_midnights') }} as midnights
    on midnights.site_id = roles.site_id
    and midnights.meter_id = roles.meter_id
    and midnights.local_date = roles.local_date
    and midnights.register = roles.counting_register
-- There is one for each: with an inner join DuckDB would begin with all days of a meter times all days.
left join counts as last_read
    on last_read.site_id = midnights.site_id
    and last_read.meter_id = midnights.meter_id
    and last_read.register = midnights.register
    and last_read.local_date = midnights.read_on
left join counts as next_read
    on next_read.site_id = midnights.site_id
    and next_read.meter_id = midnights.meter_id
    and next_read.register = midnights.register
    and next_read.local_date = midnights.next_read_on
where roles.is_alike_around
