{#
  The table macro `billing_between(first_day, last_day)`: the columns of billing_monthly for any local dates, both
  included. Its parameters replace every bare name that is like theirs, so columns of these names are qualified.
#}
{% macro create_billing_between() -%}
create or replace macro {{ target.schema }}.billing_between(first_day, last_day) as table (
with

asked_period as (
    select
        first_day::date as period_from,
        last_day::date as period_until
),

periods as (
    select
        meter_months.site_id,
        meter_months.meter_id,
        asked_period.period_from,
        asked_period.period_until,
        any_value(asked_period.period_from::timestamp at time zone meter_months.zone) as period_start_utc,
        any_value((asked_period.period_until + 1)::timestamp at time zone meter_months.zone) as period_end_utc,
        bool_or(meter_months.is_listed) as is_listed,
        bool_or(meter_months.is_there) as is_there,
        bool_or(meter_months.is_listed_now) as is_listed_now,
        any_value(meter_months.first_value_on) as first_value_on,
        any_value(meter_months.last_value_on) as last_value_on
    from {{ ref('meter_months') }} as meter_months
    inner join asked_period
        on meter_months.billing_month <= asked_period.period_until
        and last_day(meter_months.billing_month) >= asked_period.period_from
    group by
        meter_months.site_id, meter_months.meter_id, asked_period.period_from, asked_period.period_until
),

period_days as (
    select
        days.*,
        asked_period.period_from
    from {{ ref('billing_days') }} as days
    inner join asked_period
        on days.local_date between asked_period.period_from and asked_period.period_until
),

site_period_days as (
    select
        days.*,
        asked_period.period_from
    from {{ ref('site_days') }} as days
    inner join asked_period
        on days.local_date between asked_period.period_from and asked_period.period_until
),

period_failures as (
    select
        failures.*,
        asked_period.period_from
    from {{ ref('data_quality_daily') }} as failures
    inner join asked_period
        on failures.local_date between asked_period.period_from and asked_period.period_until
),

{{ period_measures() }},

{{ period_checks() }},

{{ billing_rows() }}

select * from final
);
comment on macro table {{ target.schema }}.billing_between is
    'billing_monthly of any local days, from the first to the last, both included. In a file that is attached: set search_path = ''<its name>,memory'' first.';
{%- endmacro %}
