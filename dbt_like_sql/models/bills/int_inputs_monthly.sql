-- What the user's files say of a meter's month, as hashes: only what can change a quantity, or which days of it are
-- billed, and only as far as it reaches into the month. Tolerances, accepted failures, notes, names and reasons change
-- none. The day before gives the index that opens the month; 40 days away, a reading, or what stands for one, can still
-- tell an index at midnight.
with

months as (
    select
        site_id,
        meter_id,
        period_from as billing_month,
        period_until as month_end,
        first_due_on,
        last_due_on,
        days_due
    from {{ ref('meter_month_measures') }}
),

facts_of_months as (
    select
        months.*,
        facts.* exclude (site_id, meter_id)
    from months
    inner join {{ ref('meter_facts') }} as facts using (site_id, meter_id)
),

lines as (
    select
        site_id,
        meter_id,
        billing_month,
        'service|' || first_due_on || '|' || last_due_on || '|' || days_due as line
    from months
    union
    select
        site_id,
        meter_id,
        billing_month,
        'fact|' || greatest(valid_from, billing_month - 1) || '|' || least(valid_until, month_end) || '|'
        || coalesce(register_map, '') || '|' || coalesce(resolution::varchar, '') || '|'
        || coalesce(interval_minutes::varchar, '')
    from facts_of_months
    where
        valid_from <= month_end
        and valid_until >= billing_month - 1
        and (register_map is not null or resolution is not null or interval_minutes is not null)
    union
    select
        site_id,
        meter_id,
        billing_month,
        'billed|' || greatest(valid_from, billing_month) || '|' || least(valid_until, month_end) || '|' || is_billed
    from facts_of_months
    where valid_from <= month_end and valid_until >= billing_month and is_billed is not null
    union
    select
        site_id,
        meter_id,
        billing_month,
        'mode|' || greatest(valid_from, billing_month) || '|' || least(valid_until, month_end) || '|' || meter_mode
    from facts_of_months
    where valid_from <= month_end and valid_until >= billing_month and meter_mode is not null
    union
    select
        site_id,
        meter_id,
        billing_month,
        'installed_on|' || installed_on
    from facts_of_months
    where installed_on between billing_month - 41 and month_end + 41
    union
    select
        site_id,
        meter_id,
        billing_month,
        'replaced_at_utc|' || replaced_at_utc
    from facts_of_months
    where replaced_at_utc::date between billing_month - 41 and month_end + 41
    union
    select
        months.site_id,
        months.meter_id,
        months.billing_month,
        'exclude|' || greatest(exclusions.first_day, months.billing_month) || '|'
        || least(exclusions.last_day, months.month_end)
    from months
    inner join {{ ref('exclusions') }} as exclusions
        on exclusions.site_id = months.site_id
        and exclusions.meter_id = months.meter_id
        and exclusions.first_day <= months.month_end
        and exclusions.last_day >= months.billing_month
)

select
    site_id,
    meter_id,
    billing_month,
    md5(coalesce(string_agg(lines.line, chr(10) order by lines.line), '')) as inputs_hash,
    md5(coalesce(string_agg(lines.line, chr(10) order by lines.line) filter (where lines.line not like 'billed|%'), ''))
        as inputs_hash_of_totals
from months
left join lines using (site_id, meter_id, billing_month)
group by site_id, meter_id, billing_month
