with

hidden_openings as (
    select distinct
        links.site_id,
        links.meter_id,
        links.register,
        links.local_date
    from {{ ref('int_register_links') }} as links
    inner join {{ ref('int_hidden_replacements') }} as replacements
        on replacements.site_id = links.site_id
        and replacements.meter_id = links.meter_id
        and replacements.replaced_at_utc >= links.before_at_utc
        and replacements.replaced_at_utc < links.first_read_at_utc
),

-- A rollover on a link that is cut for what is known otherwise was none.
cuts as (
    select cuts.*
    from {{ ref('int_register_shown_cuts') }} as cuts
    left join hidden_openings as hidden
        on hidden.site_id = cuts.site_id
        and hidden.meter_id = cuts.meter_id
        and hidden.register = cuts.register
        and hidden.local_date = cuts.local_date
        and cuts.is_opening
        and cuts.cut = 'rollover'
    left join {{ ref('int_register_imposed_cuts') }} as imposed
        on imposed.site_id = cuts.site_id
        and imposed.meter_id = cuts.meter_id
        and imposed.register = cuts.register
        and imposed.local_date = cuts.local_date
        and imposed.read_at_utc = cuts.read_at_utc
        and not cuts.is_opening
    where hidden.site_id is null and imposed.site_id is null
    union all by name
    select
        *,
        false as is_opening
    from {{ ref('int_register_imposed_cuts') }}
    union all by name
    select
        links.site_id,
        links.meter_id,
        links.register,
        links.first_column,
        links.local_date,
        true as is_opening,
        'dated' as cut,
        links.before_at_utc,
        links.first_read_at_utc as read_at_utc,
        links.index_before,
        links.first_index as index_after
    from {{ ref('int_register_links') }} as links
    inner join hidden_openings using (site_id, meter_id, register, local_date)
    where coalesce(links.shown_cut, 'rollover') = 'rollover'
)

select *
from cuts
order by site_id, meter_id, register, read_at_utc
