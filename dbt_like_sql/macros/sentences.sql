{# "1 day was", "3 days were": a number with the words that agree with it. #}
{% macro number_of(number, singular, plural) -%}
    {{ number }} || case when {{ number }} = 1 then ' {{ singular }}' else ' {{ plural }}' end
{%- endmacro %}

{# A quantity as people write it: no zeros at its end, and its unit, if it is known. #}
{% macro quantity_of(quantity, unit) -%}
    rtrim(rtrim(({{ quantity }})::decimal(38, 6)::varchar, '0'), '.') || coalesce(' ' || {{ unit }}, '')
{%- endmacro %}

{# An instant as the clock of the site shows it. #}
{% macro local_time_of(instant, zone) -%}
    strftime({{ instant }} at time zone {{ zone }}, '%Y-%m-%d %H:%M')
{%- endmacro %}

{#
  What a failed check says to the clerk, without its code. `measured` is of the period (one day or many); `detail` is what
  the check adds (names of meters, indices, a local time); `on_days` says on which days, where the row is not of one.
#}
{% macro reason_of(check_name, measured, detail, on_days="''") -%}
    {%- set count = measured ~ '::bigint' -%}
    {%- set amount = "rtrim(rtrim(round(" ~ measured ~ ", 3)::decimal(18, 3)::varchar, '0'), '.')" -%}
    case {{ check_name }}
        when 'pending' then 'asked for too early'
        when 'failed' then 'could not be fetched'
        when 'missing_intervals' then
            {{ number_of(count, 'interval that was', 'intervals that were') }} || ' asked for did not come'
        when 'null_intervals' then {{ number_of(count, 'interval has', 'intervals have') }} || ' no value'
        when 'too_many_intervals' then
            {{ number_of(count, 'interval', 'intervals') }} || ' more than there is room for; some overlap'
        when 'change_day_counts' then
            'where clocks change, ' || {{ number_of(count, 'interval is', 'intervals are') }} || ' missing or too many'
        when 'off_grid' then {{ number_of(count, 'interval begins', 'intervals begin') }} || ' between the steps'
        when 'without_split' then
            {{ number_of(count, 'interval is', 'intervals are') }} || ' not split into solar and grid'
        when 'split_adds_up' then 'solar and grid differ from the total by up to ' || {{ amount }} || ' kWh'
        when 'missing_sibling' then
            'another meter of the site lacks ' || {{ number_of(count, 'interval', 'intervals') }}
            || ', so the split is wrong (' || {{ detail }} || ')'
        when 'grid_without_import' then {{ amount }} || ' kWh from the grid in a day, while the site drew nothing from it'
        when 'site_balance' then 'the series of the site do not add up, by up to ' || {{ amount }} || ' kWh'
        when 'sentinel' then
            {{ number_of(count, 'interval holds', 'intervals hold') }} || ' a number that stands for an error'
        when 'conflicting_rows' then
            'an interval came twice, with two values, the last of which counts (' || {{ detail }} || ')'
        when 'conflicting_site_rows' then
            'an interval of the site''s series came twice, with two values (' || {{ detail }} || ')'
        when 'conflicting_readings' then 'a register was stated twice for one instant, with two values (' || {{ detail }} || ')'
        when 'duplicate_rows' then 'an interval came twice, and counts once (' || {{ detail }} || ')'
        when 'register_type' then 'raw readings are of another kind of register: ' || {{ detail }}
        when 'replaced' then 'the register went from ' || {{ detail }}
        when 'unit_change' then
            'the register went from ' || {{ detail }} || ', a thousandfold: one of both is in another unit'
        when 'negative' then 'negative by up to ' || {{ amount }} || ' times what coarse indices explain'
        when 'zero_run' then 'zero for ' || {{ amount }} || ' hours, which no register confirms'
        when 'zero_run_unread' then
            'zero for ' || {{ amount }} || ' days, while the register counted or was not read'
        when 'stuck_unread' then
            'the same value ' || {{ count }} || ' times in a row (' || {{ detail }} || '), while no register was read'
        when 'stuck' then 'the same value ' || {{ count }} || ' times in a row (' || {{ detail }} || ')'
        when 'spike_unread' then
            {{ amount }} || ' times the second highest other day, at ' || {{ detail }} || ', while no register was read'
        when 'spike' then {{ amount }} || ' times the second highest other day, at ' || {{ detail }}
        when 'night_production' then {{ amount }} || ' kWh were produced in a night'
        when 'night_production_unusual' then
            {{ amount }} || ' kWh were produced in a night, by a plant that rests at night'
        when 'equal_autonomy' then
            'the solar share differs from the other consumers'' by ' || {{ amount }} || ' of a day''s total'
        when 'estimated' then
            round({{ measured }} * 100, 1)::varchar || ' % of the intervals are estimates: the register was not read'
        when 'rollover' then 'the register ran over its last digit'
        when 'swapped_registers' then 'the other register counted what the intervals state'
        when 'index_glitch' then {{ number_of(count, 'raw reading is', 'raw readings are') }} || ' off the line, left out'
        when 'mode_changed' then 'listed differently ' || {{ detail }}
    end
    || {{ on_days }}
    || case {{ check_name }}
        when 'replaced' then '; date the replacement in meters.csv (replaced_at), or have it corrected'
        when 'unit_change' then '; have it corrected, or accept it'
        else ''
    end
{%- endmacro %}
