with

meter_months as (
    select * from {{ ref('meter_months') }}
),

facts as (
    select * from {{ source('pipeline', 'meter_facts') }}
),

decisions as (
    select * from {{ source('pipeline', 'decisions') }}
),

tolerances as (
    select * from {{ source('pipeline', 'tolerances') }}
),

months as (
    select
        site_id,
        meter_id,
        billing_month,
        (billing_month + interval 1 month)::date as next_month
    from meter_months
),

-- Notes, names and reasons change no number.
lines as (
    select
        months.site_id,
        months.meter_id,
        months.billing_month,
        false as is_exclusion,
        {% set said = [
            'valid_from', 'valid_until', 'register_map', 'resolution', 'installed_on', 'replaced_at_utc',
            'in_service_from', 'in_service_until', 'billing_point', 'is_billed', 'interval_minutes'
        ] -%}
        'fact'{% for name in said %} || '|' || coalesce(facts.{{ name }}::varchar, ''){% endfor %} as line
    from months
    inner join facts
        on facts.site_id = months.site_id
        and facts.meter_id = months.meter_id
        and facts.valid_from < months.next_month
        and facts.valid_until >= months.billing_month
    union all
    select
        months.site_id,
        months.meter_id,
        months.billing_month,
        decisions.action = 'exclude' as is_exclusion,
        'decision|' || decisions.check_name || '|' || decisions.action || '|' || decisions.first_day::varchar || '|'
        || decisions.last_day::varchar as line
    from months
    inner join decisions
        on decisions.site_id = months.site_id
        and coalesce(decisions.meter_id, months.meter_id) = months.meter_id
        and decisions.first_day < months.next_month
        and decisions.last_day >= months.billing_month
),

gathered as (
    select
        site_id,
        meter_id,
        billing_month,
        string_agg(line, chr(10) order by line) as lines,
        bool_or(is_exclusion) as is_excluded
    from lines
    group by site_id, meter_id, billing_month
),

tolerated as (
    select
        coalesce(string_agg(check_name || '|' || tolerance::varchar, chr(10) order by check_name), '') as lines
    from tolerances
),

final as (
    select
        months.site_id,
        months.meter_id,
        months.billing_month,
        md5(tolerated.lines || chr(10) || coalesce(gathered.lines, '')) as inputs_hash,
        coalesce(gathered.is_excluded, false) as is_excluded
    from months
    cross join tolerated
    left join gathered
        on gathered.site_id = months.site_id
        and gathered.meter_id = months.meter_id
        and gathered.billing_month = months.billing_month
    order by months.billing_month, months.site_id, months.meter_id
)

select * from final
