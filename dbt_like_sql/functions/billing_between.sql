-- The columns of billing_monthly for any local dates, both included: the same models as for months, run over the period
-- that is asked for.
create or replace macro main.billing_between(first_day, last_day) as table (
with

{{ part('asked_period') }},

{{ models_up_to('bill_rows') }}

select * from bill_rows
);
comment on macro table main.billing_between is
    'billing_monthly of any local days, from the first to the last, both included. In a file that is attached: set search_path = ''<its name>,memory'' first.';
