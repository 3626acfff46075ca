-- The columns of billing_lines_monthly for any local dates, both included: the same models as for months, run over the
-- period that is asked for.
create or replace macro main.billing_lines(first_day, last_day) as table (
with

{{ part('asked_period') }},

{{ models_up_to('billing_lines_monthly') }}

select * from billing_lines_monthly
);
comment on macro table main.billing_lines is
    'billing_lines_monthly of any local days, from the first to the last, both included: one line per occupant and meter. In a file that is attached: set search_path = ''<its name>,memory'' first.';
