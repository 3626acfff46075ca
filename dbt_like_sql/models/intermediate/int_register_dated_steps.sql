with

facts as (
    select distinct
        site_id,
        meter_id,
        replaced_at_utc,
        (replaced_at_utc at time zone 'UTC')::date as replaced_on
    from {{ ref('meter_facts') }}
    where replaced_at_utc is not null
),

-- The few days on which meters.csv dates a replacement are read again at every build: a date may be given, or moved,
-- while nothing of the day changes.
versions as (
    select
        readings.*,
        null::timestamptz as superseded_at_utc
    from {{ ref('meter_indices') }} as readings
    semi join facts
        on facts.site_id = readings.site_id
        and facts.meter_id = readings.meter_id
        and readings.local_date between facts.replaced_on - 1 and facts.replaced_on + 1
),

intervals as (
    select
        stated.*,
        null::timestamptz as superseded_at_utc
    from {{ ref('meter_intervals') }} as stated
    semi join facts
        on facts.site_id = stated.site_id
        and facts.meter_id = stated.meter_id
        and stated.local_date between facts.replaced_on - 1 and facts.replaced_on + 1
),

meters as (
    select * from {{ ref('int_meters') }}
),

calendar as (
    select * from {{ ref('calendar_days') }}
),

{{ register_steps({
    'import': 'index_import_kwh', 'export': 'index_export_kwh', 'heat': 'heat_kwh', 'volume': 'volume_m3'
}) }},

{{ interval_rows() }},

-- What was read at the very instant was still read of the old device.
dated_steps as (
    select
        steps.*,
        facts.replaced_at_utc
    from steps
    inner join facts
        on facts.site_id = steps.site_id
        and facts.meter_id = steps.meter_id
        and steps.before_at_utc <= facts.replaced_at_utc
        and steps.read_at_utc > facts.replaced_at_utc
),

stated as (
    select
        dated_steps.site_id,
        dated_steps.meter_id,
        dated_steps.register,
        dated_steps.local_date,
        dated_steps.replaced_at_utc,
        dated_steps.before_at_utc,
        dated_steps.read_at_utc,
        dated_steps.before as index_before,
        dated_steps.reading as index_after,
        {{ stated_between('dated_steps.before_at_utc', 'dated_steps.read_at_utc') }} as between_readings
    from dated_steps
    left join interval_rows
        on interval_rows.site_id = dated_steps.site_id
        and interval_rows.meter_id = dated_steps.meter_id
        and interval_rows.local_date = dated_steps.local_date
        and interval_rows.interval_start_utc < dated_steps.read_at_utc
        and interval_rows.interval_end_utc > dated_steps.before_at_utc
    group by
        dated_steps.site_id, dated_steps.meter_id, dated_steps.register, dated_steps.local_date,
        dated_steps.replaced_at_utc, dated_steps.before_at_utc, dated_steps.read_at_utc, dated_steps.before,
        dated_steps.reading
),

final as (
    select
        * exclude (between_readings),
        between_readings.stated as total_between,
        between_readings.open as open_between
    from stated
    order by site_id, meter_id, register, replaced_at_utc
)

select * from final
