with

measures as (
    select * from {{ ref('meter_month_measures') }}
),

facts as (
    select * from {{ source('pipeline', 'meter_facts') }}
),

decisions as (
    select * from {{ source('pipeline', 'decisions') }}
),

months as (
    select
        site_id,
        meter_id,
        period_from as billing_month,
        period_until as month_end,
        first_due_on,
        last_due_on,
        days_due
    from measures
),

-- Only what can change a quantity, or which days of it are billed, and only as far as it reaches into the month:
-- tolerances, accepted failures, notes, names and reasons change none. The day before gives the index that opens the
-- month; 40 days away, a reading, or what stands for one, can still tell an index at midnight.
lines as (
    select
        site_id,
        meter_id,
        billing_month,
        'service|' || first_due_on || '|' || last_due_on || '|' || days_due as line
    from months
    union
    select
        months.site_id,
        months.meter_id,
        months.billing_month,
        'fact|' || greatest(facts.valid_from, months.billing_month - 1) || '|'
        || least(facts.valid_until, months.month_end) || '|' || coalesce(facts.register_map, '') || '|'
        || coalesce(facts.resolution::varchar, '') || '|' || coalesce(facts.interval_minutes::varchar, '')
    from months
    inner join facts
        on facts.site_id = months.site_id
        and facts.meter_id = months.meter_id
        and facts.valid_from <= months.month_end
        and facts.valid_until >= months.billing_month - 1
    where
        facts.register_map is not null
        or facts.resolution is not null
        or facts.interval_minutes is not null
    union
    select
        months.site_id,
        months.meter_id,
        months.billing_month,
        'billed|' || greatest(facts.valid_from, months.billing_month) || '|'
        || least(facts.valid_until, months.month_end) || '|' || facts.is_billed
    from months
    inner join facts
        on facts.site_id = months.site_id
        and facts.meter_id = months.meter_id
        and facts.valid_from <= months.month_end
        and facts.valid_until >= months.billing_month
    where facts.is_billed is not null
    union
    {% for name in ['installed_on', 'replaced_at_utc'] -%}
    select
        months.site_id,
        months.meter_id,
        months.billing_month,
        '{{ name }}|' || facts.{{ name }}
    from months
    inner join facts
        on facts.site_id = months.site_id
        and facts.meter_id = months.meter_id
        and facts.{{ name }}::date between months.billing_month - 41 and months.month_end + 41
    union
    {% endfor -%}
    select
        months.site_id,
        months.meter_id,
        months.billing_month,
        'exclude|' || greatest(decisions.first_day, months.billing_month) || '|'
        || least(decisions.last_day, months.month_end)
    from months
    inner join decisions
        on decisions.site_id = months.site_id
        and coalesce(decisions.meter_id, months.meter_id) = months.meter_id
        and decisions.first_day <= months.month_end
        and decisions.last_day >= months.billing_month
    where decisions.action = 'exclude'
),

gathered as (
    select
        site_id,
        meter_id,
        billing_month,
        string_agg(line, chr(10) order by line) as lines,
        string_agg(line, chr(10) order by line) filter (where line not like 'billed|%') as lines_of_totals
    from lines
    group by site_id, meter_id, billing_month
),

final as (
    select
        months.site_id,
        months.meter_id,
        months.billing_month,
        md5(coalesce(gathered.lines, '')) as inputs_hash,
        md5(coalesce(gathered.lines_of_totals, '')) as inputs_hash_of_totals
    from months
    left join gathered
        on gathered.site_id = months.site_id
        and gathered.meter_id = months.meter_id
        and gathered.billing_month = months.billing_month
    order by months.billing_month, months.site_id, months.meter_id
)

select * from final
