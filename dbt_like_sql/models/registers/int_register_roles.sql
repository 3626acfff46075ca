{{ config(materialized='by_month', month_column='local_date', goes_on=true) }}

-- Which register counts for a meter on each day, which one what is drawn, and which one what is fed in.
with

-- Where nothing is in doubt, the register counts that does so as a rule.
days as (
    select
        agreements.*,
        case when doubts.site_id is null then agreements.usual_register else doubts.counting_register end
            as counting_register,
        case when doubts.site_id is null then agreements.usual_register is not null else doubts.is_alike_around end
            as is_alike_around
    from {{ ref('int_register_agreements') }} as agreements
    left join {{ ref('int_register_doubts_daily') }} as doubts
        on doubts.site_id = agreements.site_id
        and doubts.meter_id = agreements.meter_id
        and doubts.local_date = agreements.local_date
)

select
    * exclude (agreeing_register, has_other),
    {{ in_column('counting_register') }} as index_register,
    -- What is drawn is counted by the register that the intervals are made of, unless they state what is produced.
    case
        when usual_register = 'import' then counting_register
        when usual_register = 'export' then {{ other_register('counting_register') }}
        else coalesce(stated_drawn_register, 'import')
    end as drawn_register,
    -- And what flows the other way.
    case
        when usual_register = 'import' then {{ other_register('counting_register') }}
        when usual_register = 'export' then counting_register
        else coalesce({{ other_register('stated_drawn_register') }}, 'export')
    end as feed_in_register
from days
