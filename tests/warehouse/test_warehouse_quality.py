"""Every fault raises its checks and no other, what only looks like one raises none, and the grade follows from them."""

from __future__ import annotations

import re
import shutil
from collections import defaultdict
from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from functools import reduce
from pathlib import Path
from zoneinfo import ZoneInfo

import duckdb
import pytest
from built_warehouse import COLUMNS, Built, build_with
from fault_lake import (
    ABSURD_DAYS,
    BALANCES,
    CLOSING,
    CUT,
    CUT_LATER,
    CUT_UNSEEN,
    EXAMPLE_LIVES,
    EXAMPLE_SITE,
    EXCHANGED_DEVICES,
    FROM_NOWHERE,
    HOUR,
    IN_WATT_HOURS,
    LATER_MODE,
    LEAP_ZONES,
    LONE_PEAKS,
    LOW_PAIRS,
    MONTH,
    MOVED,
    NAMELESS,
    NOT_COUNTED,
    OFF_LINE,
    OPENING,
    RATED,
    RULE_FROM,
    SHARED,
    SHARED_DAYS,
    SPARSE,
    SPLIT_OFF,
    SPOILT,
    SWAPPED_FROM,
    SWAPPED_UNTIL,
    TAKEN_OUT,
    ZERO_DAYS,
    DaySums,
    FaultLake,
    added,
    both_ways,
    build_fault_lake,
    dated_lake,
    flow_of_site,
    hour,
    ordinary,
)
from hypothesis import example, given, settings
from hypothesis import strategies as st
from rendered_models import rendered
from small_lake import OCTOBER, ZURICH

from climkit_pipeline.domain.periods import next_month
from climkit_pipeline.errors import ConfigurationError
from climkit_pipeline.lake.layout import Layout
from climkit_pipeline.languages.words import Words
from climkit_pipeline.user_files.checks import known_checks
from climkit_pipeline.user_files.config_folder import decision, read_user_inputs
from climkit_pipeline.user_files.lines import Entry, Occupancy
from climkit_pipeline.user_files.tables import input_tables
from climkit_pipeline.warehouse.decision_effects import check_ids, nothing_failed, without_effect
from climkit_pipeline.warehouse.occupancy_effects import doubtful_occupancies
from climkit_pipeline.warehouse.project import load_project
from climkit_pipeline.warehouse.todo import read_todo


@pytest.fixture(scope="module")
def house() -> FaultLake:
    return build_fault_lake()


@pytest.fixture(scope="module")
def faulty(house, tmp_path_factory) -> Built:
    layout = Layout(tmp_path_factory.mktemp("faults"))
    house.write(layout)
    return Built(layout, lambda: house.lake, build_with(layout, occupancies=OCCUPANCIES))


# A fault on the 8th, with a move on the 15th; a flat that is empty before and after somebody; one that is never empty,
# by the name of its meter; one whose second line begins before the first one ends; and names of nothing.
OCCUPANCIES = [
    ("null_value", "m", "Ada", date(1900, 1, 1), date(2026, 10, 14)),
    ("null_value", "m", "Bob", date(2026, 10, 15), date(9999, 12, 31)),
    ("clean", "m", "Ada", date(2026, 10, 5), date(2026, 10, 20)),
    ("rollover", "rollover m", "Ada", date(1900, 1, 1), date(9999, 12, 31)),
    ("glitch", "m", "Ada", date(2026, 10, 1), date(2026, 10, 25)),
    ("glitch", "glitch m", "Bob", date(2026, 10, 20), date(2026, 10, 31)),
    ("nosuch", "m", "Ada", date(2026, 10, 1), date(2026, 10, 31)),
    ("clean", "nosuch", "Ada", date(2026, 10, 1), date(2026, 10, 31)),
    ("exchanged", "m", "Ada", date(1900, 1, 1), date(2026, 10, 10)),
    ("exchanged", "m", "Bob", date(2026, 10, 13), date(9999, 12, 31)),
]


EXPECTED = {
    # site: (grade, checks that wait or block, warnings)
    "clean": ("ready", set(), set()),
    "fall": ("provisional", {"replaced"}, set()),
    "jump": ("provisional", {"replaced"}, set()),
    "rollover": ("ready", set(), {"rollover"}),
    "swapped": ("ready", set(), {"swapped_registers"}),
    "exchanged": ("ready", set(), {"swapped_registers"}),
    "glitch": ("ready", set(), {"index_glitch"}),
    "load_curve": ("ready", set(), set()),
    "morning": ("ready", set(), set()),
    "estimated": ("ready_with_estimates", {"estimated"}, set()),
    "wrong_unit": ("blocked", {"wrong_unit", "index_difference"}, set()),
    "watt_hours_from": ("blocked", {"unit_change"}, set()),
    "watt_hours_until": ("blocked", {"unit_change"}, set()),
    "watt_hours_between": ("blocked", {"unit_change", "spike_unread"}, {"spike"}),
    "watt_hours_unseen": ("blocked", {"unit_change", "null_intervals"}, set()),
    "weekly": ("ready", set(), set()),
    "weekly_spike": ("blocked", {"index_difference"}, {"spike"}),
    "weekly_stuck": ("blocked", {"index_difference"}, {"stuck"}),
    "at_six_spike": ("blocked", {"index_difference"}, {"spike"}),
    "inside_doubled": ("blocked", {"index_difference"}, set()),
    "created": ("ready", set(), set()),
    "gap": ("blocked", {"missing_intervals"}, set()),
    "changed_clock": ("blocked", {"missing_intervals", "change_day_counts"}, set()),
    "overlap": ("blocked", {"too_many_intervals", "off_grid"}, set()),
    "stuck": ("blocked", {"index_difference"}, {"stuck"}),
    "steady": ("ready", set(), set()),
    "sentinel": ("blocked", {"sentinel", "index_difference"}, set()),
    "spike": ("ready", set(), {"spike"}),
    "spike_unread": ("blocked", {"spike_unread"}, {"spike"}),
    "spiked_twice": ("blocked", {"spike_unread"}, {"spike"}),
    "stuck_twice": ("blocked", {"stuck_unread"}, {"stuck"}),
    "negative": ("ready", set(), {"negative"}),
    "null_value": ("blocked", {"null_intervals"}, set()),
    "night": ("blocked", {"night_production_unusual"}, {"night_production"}),
    "empty_flat": ("ready", set(), set()),
    "warm": ("ready", set(), set()),
    "zeros": ("blocked", {"zero_run_unread", "index_difference"}, {"zero_run"}),
    "starts": ("provisional", {"starts_inside", "missing_intervals"}, set()),
    "ends": ("provisional", {"ends_inside", "missing_intervals"}, set()),
    "vanished": ("provisional", {"not_fetched", "ends_inside"}, set()),
    "silent": ("blocked", {"no_data", "missing_intervals"}, set()),
    "failed": ("provisional", {"failed"}, set()),
    "pending": ("provisional", {"pending"}, set()),
    "once": ("provisional", {"not_confirmed"}, set()),
    "twice": ("ready", set(), {"duplicate_rows"}),
    "disputed": ("blocked", {"conflicting_rows"}, set()),
    "disputed_once": ("ready", set(), set()),
    "disputed_filled": ("ready", set(), set()),
    "stated_as_is": ("ready", set(), set()),
    "stated_otherwise": ("ready", set(), {"stated_month"}),
    "disputed_still": ("blocked", {"conflicting_rows"}, set()),
    "disputed_split": ("blocked", {"conflicting_rows"}, set()),
    "disputed_heat": ("ready", set(), set()),
    "disputed_series": ("ready", set(), {"conflicting_readings"}),
    "unbalanced": ("blocked", {"site_balance"}, {"site_sum"}),
    "swap_of_zero": ("ready", set(), {"swapped_registers"}),
    "swap_of_null": ("ready", set(), {"swapped_registers"}),
    "swap_of_two": ("ready", set(), {"swapped_registers"}),
    "swap_at_rest": ("ready", set(), {"swapped_registers"}),
    "swap_and_gaps": ("blocked", {"missing_intervals", "change_day_counts", "index_difference"}, {"swapped_registers"}),
    "plant_offline": ("blocked", {"index_difference"}, set()),
    "chance": ("blocked", {"index_difference"}, set()),
    "replaced_both": ("provisional", {"replaced"}, set()),
    "replaced_grid": ("provisional", {"replaced"}, set()),
    "replaced_early": ("provisional", {"replaced"}, set()),
    "replaced_in_gap": ("blocked", {"null_intervals", "index_difference"}, set()),
    "replaced_twice": ("provisional", {"replaced"}, set()),
    "replaced_unseen": ("blocked", {"index_difference"}, set()),
    "replaced_at_night": ("blocked", {"index_difference"}, set()),
    "absurd": ("ready", set(), {"index_glitch"}),
    "absurd_midnights": ("ready", set(), {"index_glitch"}),
    "restless": ("provisional", {"replaced"}, set()),
    "restless_inside": ("ready", set(), {"index_glitch"}),
    "curve_and_index": ("ready", set(), set()),
    "curve_of_heat": ("ready", set(), set()),
    "index_and_curve": ("ready", set(), set()),
    "half_too_much": ("blocked", {"index_difference"}, set()),
    "swap_dated": ("ready", set(), {"swapped_registers"}),
    "stuck_unread": ("blocked", {"stuck_unread"}, {"stuck"}),
    "steady_unread": ("ready", set(), {"stuck"}),
    "frozen_unread": ("blocked", {"stuck_unread"}, {"stuck"}),
    "real_peak": ("ready", set(), set()),
    "boiler": ("ready", set(), {"night_production"}),
    "wrong_clock": ("blocked", {"night_production_unusual"}, {"night_production"}),
    "inverter": ("ready", set(), {"night_production"}),
    "wrong_register": ("blocked", {"register_type"}, set()),
    "mode": ("ready", {"not_billed"}, {"mode_changed"}),
    "no_import": ("blocked", {"grid_without_import"}, set()),
    "four_times": ("ready", set(), set()),
    "five_times": ("ready", set(), {"far_from_last_year"}),
    "a_fifth": ("ready", set(), {"far_from_last_year"}),
    "five_confirmed": ("ready", set(), set()),
    "little": ("ready", set(), set()),
    "stuck_five": ("blocked", {"index_difference"}, set()),
    "stuck_six": ("blocked", {"index_difference"}, {"stuck"}),
    "stuck_five_unread": ("ready", set(), set()),
    "stuck_six_unread": ("blocked", {"stuck_unread"}, {"stuck"}),
    "nearly_confirmed": ("ready", set(), {"spike"}),
    "unit_of_gas": ("blocked", {"unknown_unit"}, set()),
    "split_off": ("blocked", {"split_adds_up"}, set()),
    "production_off": ("ready", set(), {"production_index"}),
    "production_on": ("ready", set(), set()),
    "sun_after_snow": ("ready", set(), {"spike"}),
    "spike_in_snow": ("blocked", {"spike_unread"}, {"spike"}),
    "charged_after_rest": ("ready", set(), {"spike"}),
    "flat_after_rest": ("blocked", {"spike_unread"}, {"spike"}),
    "retyped": ("blocked", {"kind_changed"}, {"mode_changed"}),
    "retyped_back": ("blocked", {"kind_changed"}, {"mode_changed"}),
    "named": ("blocked", {"kind_changed"}, {"mode_changed"}),
    "still_heat": ("ready", set(), set()),
    "rule_to_consumer": ("blocked", {"kind_changed"}, {"mode_changed"}),
    "billed_from_15": ("ready", {"not_billed"}, {"mode_changed"}),
    "mute_grid": ("blocked", {"unsound_sibling"}, set()),
    "quarter_past": ("blocked", {"off_grid"}, set()),
}


@pytest.mark.parametrize("site", EXPECTED)
def test_each_case_raises_its_checks_and_no_other(faulty, site):
    grade, reasons, warnings = october(faulty, "grade, reasons, warnings", site)
    codes, odd = ({sentence.partition(":")[0] for sentence in said} for said in (reasons, warnings))
    assert (grade, codes, odd) == EXPECTED[site]


def test_days_on_which_rows_came_twice_are_named_in_local_time(faulty):
    """The first hour of the 12th is still the 11th in UTC; 23:00 is the last day's. Later answers count instead."""
    rows = faulty.rows(
        "select site_id, local_date from data_quality_daily"
        " where check_name in ('duplicate_rows', 'conflicting_rows') and site_id in ('twice', 'disputed') order by all"
    )
    assert rows == [
        ("disputed", date(2026, 10, 11)),
        ("disputed", date(2026, 10, 12)),
        ("twice", date(2026, 10, 11)),
        ("twice", date(2026, 10, 31)),
    ]


def october(built: Built, columns: str, site: str, meter: str = "m") -> tuple:
    (row,) = built.rows(
        f"select {columns} from billing_monthly where (site_id, meter_id, billing_month) = (?, ?, ?)",
        [site, meter, MONTH],
    )
    return row


def within(built: Built, days_: tuple[int, int], columns: str, site: str, meter: str = "m") -> tuple:
    """What is said of October from one day to another."""
    row = built.period(*map(october_day, days_))[site, meter]
    return tuple(row[column] for column in columns.split(", "))


def october_day(day: int) -> date:
    return date(2026, 10, day)


SWAPPED = ["swap_of_zero", "swap_of_null", "swap_of_two", "swap_at_rest"]
UNDERSTOOD = ["clean", "rollover", "swapped", "exchanged", "glitch", "created", *SWAPPED]


@pytest.mark.parametrize("site", UNDERSTOOD)
def test_the_advance_is_what_was_counted_over_every_cut_that_is_understood(faulty, house, site):
    advance, difference, unmeasured = october(faulty, "index_advance, index_difference, index_unmeasured", site)
    assert (advance, difference, unmeasured) == (house.total(site), 0, 0)


@pytest.mark.parametrize("site", [*SWAPPED, "swap_and_gaps"])
def test_registers_are_swapped_from_the_exchange_to_the_exchange_back_and_on_no_other_day(faulty, site):
    """Days on which no register can be told inherited the swap, for a month after it had ended."""
    swapped = faulty.rows("select local_date from meter_index_days where site_id = ? and is_swapped", [site])
    assert {day for (day,) in swapped} == {date(2026, 10, day) for day in range(10, 20)}
    warned = faulty.rows(
        "select local_date from data_quality_daily where site_id = ? and check_name = 'swapped_registers'", [site]
    )
    at_rest = {date(2026, 10, day) for day in (10, 11, 19)} if site == "swap_at_rest" else set()
    assert {day for (day,) in warned} == {day for (day,) in swapped} - at_rest


def test_the_other_direction_is_followed_through_a_swap_as_well(faulty, house):
    fed_in = sum(ordinary("fed_in").values())
    assert october(
        faulty, "export_index_start, export_index_advance, grid_import, grid_export, flow_source", "swap_of_two"
    ) == (700, fed_in, house.total("swap_of_two"), fed_in, "register")
    produced = house.total("swap_at_rest")
    assert october(faulty, "export_index_start, export_index_advance", "swap_at_rest") == (1000, produced)


def test_a_swap_begins_a_segment_in_the_other_column_that_goes_on_from_its_last_index(faulty, house):
    rows = faulty.rows(
        """select register, began_with, from_utc, until_utc, index_from, index_before, counted_across, advance,
            first_used_on, last_used_on
        from meter_index_segments where site_id = 'swap_of_zero' and is_used order by from_utc"""
    )
    series = house.stated["swap_of_zero", "m"]
    index = {at: Decimal(1000) + sum(v for start, v in series.items() if start < at) for at in [*series, CLOSING]}
    first, second, third = OPENING, SWAPPED_FROM, SWAPPED_UNTIL
    assert [row[:6] for row in rows] == [
        ("import", "first_reading", first, second, index[first], None),
        ("export", "swap", second + HOUR, third, index[second + HOUR], index[second]),
        ("import", "swap", third + HOUR, CLOSING, index[third + HOUR], index[third]),
    ]
    assert [row[6] for row in rows] == [None, series[second], series[third]]
    assert sum(row[7] + (row[6] or 0) for row in rows) == house.total("swap_of_zero")
    october_day = [date(2026, 10, day) for day in range(32)[1:]]
    assert [row[8:] for row in rows] == [
        (date(2026, 9, 30), october_day[8]), (october_day[9], october_day[18]), (october_day[19], october_day[30]),
    ]  # fmt: skip


def test_months_before_in_and_after_a_swap_have_their_own_advance_and_share_their_bounds(faulty, house):
    rows = faulty.rows(
        """select billing_month, grade, total, index_advance, index_difference, index_start, index_end, warnings
        from billing_monthly where site_id = 'swapped_march' order by billing_month"""
    )
    index = Decimal(1000)
    for month, grade, total, advance, difference, start, end, warnings in rows:
        stated = sum(
            value
            for at, value in house.stated["swapped_march", "m"].items()
            if at.astimezone(ZURICH).date().replace(day=1) == month
        )
        assert (grade, total, advance, difference) == ("ready", stated, stated, 0)
        assert (start, end) == (index, index + stated)
        assert [warning.partition(":")[0] for warning in warnings] == ["swapped_registers"] * (month.month == 3)
        index = end
    assert len(rows) == 3


def test_what_neither_register_measured_at_a_replacement_is_lost_once(faulty, house):
    """Both registers of the meter are cut, and it was counted for each."""
    lost = house.stated["replaced_both", "m"][CUT]
    assert october(faulty, "index_difference, index_unmeasured", "replaced_both") == (lost, lost)


@pytest.mark.parametrize("site", ["fall", "jump"])
def test_no_difference_is_taken_across_a_replacement(faulty, house, site):
    """The hour of the replacement was measured by neither register."""
    lost = house.stated[site, "m"][CUT]
    advance, unmeasured = october(faulty, "index_advance, index_unmeasured", site)
    assert (advance, unmeasured) == (house.total(site) - lost, lost)
    first, second = faulty.rows(
        "select began_with, from_utc, until_utc, advance, is_dated from meter_index_segments"
        " where site_id = ? order by segment", [site]
    )  # fmt: skip
    assert first[:3] == ("first_reading", OPENING, CUT)
    assert second[:3] == ("replacement", CUT + HOUR, CLOSING)
    assert first[3] + second[3] == advance


@pytest.mark.parametrize("site", IN_WATT_HOURS)
def test_days_of_a_thousandfold_wait_for_a_person_whether_or_not_the_month_shows_where_they_began(faulty, site):
    """A meter that went on in Wh was `ready` in every month but those in which it began and ended."""
    since, until = IN_WATT_HOURS[site]
    blocked = faulty.rows(
        "select local_date from data_quality_daily where site_id = ? and check_name = 'unit_change'", [site]
    )
    last = (until - HOUR).astimezone(ZURICH).date()
    days = (last - since.astimezone(ZURICH).date()).days + 1
    assert {day for (day,) in blocked} == {last - timedelta(days=ago) for ago in range(days)}
    began = [row[0] for row in faulty.rows(
        "select began_with from meter_index_segments where site_id = ? order by segment", [site]
    )]  # fmt: skip
    assert began == ["first_reading"] + ["unit_change"] * (2 if site == "watt_hours_between" else 1)


@pytest.mark.parametrize("site", SPARSE)
def test_readings_inside_a_month_are_compared_even_if_its_bounds_are_not_known(faulty, site):
    """A meter that is read now and then was `ready` with 40 kWh too much, and with days that were stated twice."""
    apart, grade, reasons = faulty.rows(
        "select apart_inside, grade, reasons from billing_monthly"
        " inner join meter_month_measures using (site_id, meter_id) where site_id = ?", [site]
    )[0]  # fmt: skip
    assert apart == SPARSE[site]
    assert grade == ("blocked" if apart else "ready")
    stated = f"the intervals state {SPARSE[site]} kWh more than the register counted"
    assert [stated in reason for reason in reasons] == [True] * bool(apart)


def test_a_register_that_falls_all_day_is_compared_by_its_first_and_last_reading(faulty, house):
    """It counted backwards by a thousand kWh, and no site of the account was refreshed."""
    lost = house.total("restless", first=12, last=12) + house.stated["restless", "m"][hour(13, 0)]
    first_hour = house.stated["restless", "m"][hour(12, 0)]
    advance, unmeasured = october(faulty, "index_advance, index_unmeasured", "restless")
    assert (advance, unmeasured) == (house.total("restless") - lost + first_hour, lost - first_hour)
    assert october(faulty, "index_advance", "restless_inside") == (house.total("restless_inside"),)
    glitches = faulty.rows("select sum(glitches) from meter_index_days where site_id = 'restless_inside'")
    assert glitches == [(2 * len(LOW_PAIRS),)]


def test_a_date_on_a_day_that_is_not_told_step_by_step_counts_nothing_backwards(known, house):
    """What the register stood lower after the step of the date was taken from the day."""
    first_hour = house.stated["restless_dated", "m"][hour(12, 0)]
    least = known.rows("select min(advance) from meter_index_days where site_id = 'restless_dated'")
    assert least == [(first_hour,)]
    assert october(known, "grade", "restless_dated") == ("blocked",)


@pytest.mark.parametrize(("site", "register"), [("curve_and_index", "import"), ("curve_of_heat", "heat")])
def test_a_load_curve_counts_for_its_meter_whatever_the_other_register_shows(faulty, house, site, register):
    """Both gave the meter a row of each day, and no site of the account was refreshed."""
    days = faulty.rows(
        """select count(*), count(distinct local_date), sum(load_curve_total), any_value(series_kind), count(counted)
        from meter_index_days where site_id = ?""", [site]
    )  # fmt: skip
    assert days == [(31, 31, house.total(site), "interval", 0)]
    assert october(faulty, "index_register, index_advance", site) == (register, None)


def test_half_a_month_is_blocked_by_readings_at_its_bounds_whatever_the_day_before_lacks(faulty):
    """Both halves of a blocked month were ready: the reading at its beginning was compared with nothing."""
    for first, last in ((1, 14), (15, 31)):
        grade, reasons = within(faulty, (first, last), "grade, reasons", "half_too_much")
        assert (grade, [reason.partition(":")[0] for reason in reasons]) == ("blocked", ["index_difference"])


def test_a_meter_ends_with_the_last_reading_of_the_register_that_counts(known, house):
    """Its end was not known where its line was valid later, and was that of the other register, midnight."""
    columns = "grade, index_end_source, index_end_at_utc, index_end, index_end_distance_minutes"
    assert october(known, columns, "taken_out") == (
        "ready",
        "read",
        TAKEN_OUT,
        1000 + house.total("taken_out"),
        14 * 60,
    )


def test_a_dated_replacement_at_a_swap_begins_one_segment_in_the_other_column(known, house):
    """Two segments began with one reading, in no order."""
    found = known.rows(
        """select register, began_with, from_utc, is_dated from meter_index_segments
        where site_id = 'swap_dated' and index_from > 0 order by from_utc"""
    )
    assert found == [
        ("import", "first_reading", OPENING, False),
        ("export", "replacement", SWAPPED_FROM + HOUR, True),
        ("import", "swap", SWAPPED_UNTIL + HOUR, False),
    ]
    advance, unmeasured = october(known, "index_advance, index_unmeasured", "swap_dated")
    assert (advance, unmeasured) == (
        house.total("swap_dated") - unmeasured, house.stated["swap_dated", "m"][SWAPPED_FROM],
    )  # fmt: skip


def test_segments_tell_installation_rollover_and_which_register_counts(faulty):
    found = faulty.rows(
        """select site_id, register, began_with, is_used from meter_index_segments
        where site_id in ('created', 'rollover', 'swapped') order by site_id, register, segment"""
    )
    assert found == [
        ("created", "import", "installation", True),
        ("rollover", "import", "first_reading", True),
        ("rollover", "import", "rollover", True),
        ("swapped", "export", "first_reading", True),
        ("swapped", "import", "first_reading", False),
    ]


def test_bounds_say_how_they_were_obtained_and_how_far_off(faulty, house):
    columns = "index_start_source, index_start_at_utc, index_start_distance_minutes, index_end_source"
    assert october(faulty, columns, "clean") == ("read", OPENING, 0, "read")
    assert october(faulty, columns, "created") == ("zero_at_installation", hour(10, 0), 0, "read")
    assert october(faulty, columns, "morning") == ("interpolated", OPENING, 360, "interpolated")
    assert october(faulty, columns, "spike") == ("none", None, None, "none")
    assert october(faulty, "index_register, index_start", "load_curve") == ("import", None)
    assert october(faulty, "intervals_expected", "created") == ((31 - 9) * 24 + 1,)


def test_an_interpolated_index_lies_on_the_line_between_its_readings(faulty, house):
    (start,) = october(faulty, "index_start", "morning")
    until_six = sum(house.stated["morning", "m"][hour(1, number)] for number in range(6))
    assert start == round(Decimal(1000) + until_six * 18 / 24, 6)


def test_gaps_are_joined_over_midnight_and_the_peak_is_the_first_highest_hour(faulty, house):
    assert october(faulty, "longest_gap_minutes", "gap") == (240,)
    assert october(faulty, "longest_gap_minutes", "silent") == (31 * 1440 + 60,)
    assert october(faulty, "longest_gap_minutes", "clean") == (0,)
    series = house.stated["clean", "m"]
    highest = max(series.values())
    first = min(start for start, value in series.items() if value == highest)
    assert october(faulty, "peak_kw, peak_at_utc", "clean") == (highest, first)


def test_a_missing_sibling_blocks_the_split_of_the_others_and_names_itself(faulty):
    grade, reasons = october(faulty, "grade, reasons", "siblings", "a")
    assert (grade, [reason.partition(":")[0] for reason in reasons]) == ("blocked", ["missing_sibling"])
    assert "siblings b" in reasons[0]


SPOILT_BY = {
    # site: (the meter that is wrong, those that are spoilt by it)
    "spoilt": ("wrong", {"right", "sum"}),
    "spoilt_grid": ("silent", {"wrong", "right", "sum"}),
    "spoilt_heat": ("heat", {"heat sum"}),
}


@pytest.mark.parametrize("site", SPOILT_BY)
def test_a_wrong_meter_blocks_what_the_provider_works_out_of_it_and_nothing_else(faulty, site):
    """A spike of one flat moves the solar share of all; their own sums and indices do not show it."""
    cause, spoilt = SPOILT_BY[site]
    rows = faulty.rows("select meter_id, grade, reasons from billing_monthly where site_id = ?", [site])
    codes = {meter: (grade, [reason.partition(":")[0] for reason in reasons]) for meter, grade, reasons in rows}
    assert codes.pop(cause) == ("blocked", ["index_difference"])
    assert codes == {
        meter: ("blocked", ["unsound_sibling"]) if meter in spoilt else ("ready", [])
        for meter in SPOILT
        if meter != cause
    }
    assert all(f"({site} {cause})" in reasons[0] for meter, _, reasons in rows if meter in spoilt)


@pytest.mark.parametrize(("site", "others"), [("sum_of_gap", {"whole"}), ("sum_of_charging", set())])
def test_a_sum_over_a_meter_that_is_not_whole_or_wrong_is_blocked(faulty, site, others):
    """What is left of a meter is part of the sum: the sum looks complete and is short."""
    assert october(faulty, "grade", site, "sum") == ("blocked",)
    assert october(faulty, "reasons[1][:15]", site, "sum") == ("unsound_sibling",)
    assert all(october(faulty, "grade", site, meter) == ("ready",) for meter in others)


def test_two_values_in_the_sites_series_block_the_meter_whose_flows_it_states(faulty):
    grade, reasons = october(faulty, "grade, reasons", "disputed_series", "grid")
    assert (grade, [reason.partition(":")[0] for reason in reasons]) == ("blocked", ["conflicting_site_rows"])


@pytest.mark.parametrize("site", BALANCES)
def test_a_balance_is_whole_when_every_day_and_every_flow_of_it_is(faulty, site):
    ((is_whole,),) = faulty.rows(
        "select is_whole from site_balance_monthly where (site_id, meter_type, billing_month) = (?, 'electricity', ?)",
        [site, MONTH],
    )
    assert is_whole == BALANCES[site]
    warned = faulty.rows(
        "from data_quality_monthly where site_id = ? and check_name = 'site_sum' and not passed",
        [site],
    )
    assert warned == []


def test_accepting_the_wrong_meter_clears_what_it_spoilt(known):
    assert october(known, "grade", "spoilt", "wrong") == ("ready",)
    assert october(known, "grade, reasons", "spoilt", "right") == ("ready", [])
    # Accepted by two lines for one meter of two: still one row, and the other is as it was.
    grade, reasons = october(known, "grade, reasons", "spoilt_grid", "right")
    assert (grade, len(reasons)) == ("ready", 1)
    assert "accepted by Ada" in reasons[0]
    assert october(known, "grade", "spoilt_grid", "wrong") == ("blocked",)


def test_consumers_of_a_site_with_unequal_solar_shares_are_warned_about(faulty):
    for meter in ("a", "b"):
        grade, warnings = october(faulty, "grade, warnings", "unequal", meter)
        assert (grade, [warning.partition(":")[0] for warning in warnings]) == ("ready", ["equal_autonomy"])


OF_SITES = {"site_sum", "site_balance", "split_sum", "solar_not_produced"}
"""Checks of a site as a whole, told on the rows of all that is shared out there."""


def test_every_reason_is_a_failed_row_of_the_checks(faulty):
    """The grade comes from rows, so the rows must hold every reason, and no failed one may be lost.

    Another scheme of sharing out is told for the site alone, and its uneven shares on no row.
    """
    said = faulty.rows("select site_id, meter_id, unnest(reasons || warnings) from billing_monthly")
    rows = faulty.rows(
        """select distinct site_id, coalesce(meter_id, 'm'), reason_code || ': ' || reason from data_quality_monthly
        where not passed and check_name not in ('not_confirmed', 'split_scheme')
            and not (site_id = 'first_come' and check_name = 'equal_autonomy')"""
    )
    codes_of_rows = ((site, meter, told, told.partition(":")[0]) for site, meter, told in said)
    told = {
        (site, "m" if code in OF_SITES else meter, sentence)
        for site, meter, sentence, code in codes_of_rows
        if code not in {"not_confirmed", "not_billed"}
    }
    assert told == set(rows)


def test_failed_days_of_the_quality_tables_are_the_faulty_ones(faulty):
    found = faulty.rows("select site_id, local_date from data_quality_daily where check_name = 'missing_intervals'")
    days = {site: {day.day for name, day in found if name == site} for site, _ in found}
    assert days["gap"] == {7, 8}
    assert days["changed_clock"] == {25}
    assert days["silent"] == set(range(1, 32))
    assert "clean" not in days


TWO_UNITS = ("retyped", "retyped_back", "named")
RELISTED = (*TWO_UNITS, "rule_to_consumer", "unbilled_to_consumer", "billed_from_15")
RARE = {
    "register_type": {("wrong_register", "m", day) for day in OCTOBER},
    "mode_changed": {
        ("later", "m", LATER_MODE),
        ("become_rule", "m", RULE_FROM),
        *((site, "m", date(2026, 10, 15)) for site in ("mode", *RELISTED)),
    },
    "grid_without_import": {("no_import", "m", FROM_NOWHERE.astimezone(ZURICH).date())},
    "split_adds_up": {("split_off", "m", SPLIT_OFF.astimezone(ZURICH).date())},
}


@pytest.mark.parametrize("check", RARE)
def test_a_check_of_days_fails_where_it_should_and_nowhere_else(faulty, check):
    found = faulty.rows("select site_id, meter_id, local_date from data_quality_daily where check_name = ?", [check])
    assert set(found) == RARE[check]
    assert len(found) == len(RARE[check])


def test_a_meter_of_a_type_without_a_unit_blocks_and_no_other_does(faulty):
    failed = faulty.rows(
        "select distinct site_id, meter_id from data_quality_monthly where check_name = 'unknown_unit' and not passed"
    )
    assert failed == [("unit_of_gas", "m")]


def test_a_meter_of_a_list_without_modes_is_a_consumer_where_its_data_say_so_and_else_never_ready(faulty, house):
    """It was ready, its role unknown and its split left out, although every row held one."""
    rows = faulty.rows(
        """select meter_id, meter_role, solar, billable_solar, grade, reasons, warnings from billing_monthly
        where site_id = 'nameless' and billing_month = ? order by meter_id""",
        [MONTH],
    )
    split = {meter: house.days_by_meter["nameless", meter] for meter in ("flat", "mostly")}
    for meter, role, solar, billable, grade, reasons, warnings in rows:
        line = f"meters.csv (site_id,meter_id,mode): nameless,{meter},consumption"
        if meter in split:
            stated = sum(day.solar or 0 for day in split[meter].values())
            assert (role, solar) == ("consumer", stated)
            assert [said.partition(":")[0] for said in warnings] == ["role_from_split"]
            assert line in warnings[0]
        else:
            assert (role, solar, billable, grade, warnings) == ("unknown", None, None, "blocked", [])
            assert [said.partition(":")[0] for said in reasons] == ["unknown_role"]
            assert line in reasons[0]
    # Of one of them the rest of the month is not split, which blocks by itself.
    assert [(row[0], row[4]) for row in rows if row[0] in split] == [("flat", "ready"), ("mostly", "blocked")]
    assert len(rows) == len(NAMELESS)


def test_a_meter_at_two_sites_is_blocked_at_both_on_the_days_of_both(faulty):
    """It was ready twice, and billed to two people."""
    rows = faulty.rows(
        "select site_id, meter_id, local_date, detail from data_quality_daily where check_name = 'listed_twice'"
    )
    other = {"old_house": "House new_house", "new_house": "House old_house"}
    assert set(rows) == {
        (site, meter, date(2026, 10, day), there)
        for site, there in other.items()
        for meter, days in ((SHARED, SHARED_DAYS), ("flat-1", range(1, 32)))
        for day in days
    }
    for site, there in other.items():
        grade, reasons, billable = october(faulty, "grade, reasons, billable_total", site, "flat-1")
        assert (grade, billable) == ("blocked", None)
        assert reasons == [
            f"listed_twice: the same meter is listed at {there}, too, and delivers there at the same time, so it "
            "would be billed twice, on 31 days from 2026-10-01 to 2026-10-31; say in meters.csv when it serves which "
            "site (in_service_from, in_service_until), or where it is not billed (is_billed)"
        ]


def test_a_meter_that_moved_is_billed_at_each_site_for_its_days(known, house):
    """Once meters.csv says when, or at which of them alone it is billed, nothing is left to tell."""
    assert known.rows("select * from data_quality_daily where check_name = 'listed_twice'") == []
    for meter in (SHARED, MOVED):
        [(billed,)] = known.rows("select sum(billable_total) from billing_monthly where meter_id = ?", [meter])
        assert billed == sum(ordinary(meter).values())
    assert october(known, "is_billed, grade", "old_house", "flat-1") == (True, "ready")


def test_two_meters_of_a_kind_with_one_name_or_billing_point_are_told(faulty, known):
    for built, expected in (
        (faulty, {("a", "same_name", "b"), ("b", "same_name", "a")}),
        (known, {("a", "shared_point", "Flat 2"), ("b", "shared_point", "flat 1")}),
    ):
        rows = built.rows(
            """select meter_id, check_name, any_value(detail), count(*) from data_quality_daily
            where check_name in ('same_name', 'shared_point') group by all"""
        )
        assert set(rows) == {(*row, 31) for row in expected}
    assert october(faulty, "grade", "namesakes", "a") == ("ready",)


@pytest.mark.parametrize("site", OFF_LINE)
def test_a_register_that_goes_on_where_it_was_was_not_replaced(faulty, house, site):
    """A reading of 0 at midnight was a replacement, held up all meters of the site, and, dated, put 0 on a bill."""
    first, last, _ = OFF_LINE[site]
    grade, reasons, warnings, total, advance, start, end = october(
        faulty, "grade, reasons, warnings, billable_total, index_advance, index_start, index_end", site
    )
    # 49 readings of a month that lack are more than one in twenty.
    is_long = site == "zero_for_two_days"
    assert (grade, total) == ("ready_with_estimates" if is_long else "ready", house.total(site))
    assert [said.partition(":")[0] for said in reasons] == ["estimated"] * is_long
    told = {said.partition(":")[0] for said in warnings}
    assert told - {"index_glitch"} == set()
    # Left out of the first month that shows them; a reading at midnight belongs to the day that it closes.
    assert ("index_glitch" in told) == (last > OPENING)
    index = {
        at: 1000 + sum(v for begin, v in house.stated[site, "m"].items() if begin < at) for at in (OPENING, CLOSING)
    }
    slack = 1 if {OPENING, CLOSING} & {first, last} or first < OPENING else 0
    assert abs(start - index[OPENING]) <= slack * 4
    assert abs(end - index[CLOSING]) <= slack * 4
    assert abs(advance - house.total(site)) <= slack * 4
    assert october(faulty, "grade, reasons, warnings", site, "sound") == ("ready", [], [])


def test_a_new_device_that_shows_zeros_at_first_is_a_replacement(faulty):
    grade, reasons = october(faulty, "grade, reasons", "new_from_zero")
    assert (grade, [said.partition(":")[0] for said in reasons]) == ("provisional", ["replaced", "index_difference"])


@pytest.mark.parametrize("site", EXCHANGED_DEVICES)
def test_two_readings_of_one_instant_are_the_exchange_of_a_device_and_nothing_is_lost(faulty, house, site):
    """One of them was thrown away, and an interval that both devices had measured was nobody's."""
    exchanged_at, opening = EXCHANGED_DEVICES[site]
    total = house.total(site)
    counted_after = sum(v for start, v in house.stated[site, "m"].items() if start >= exchanged_at)
    found = october(faulty, "grade, reasons, warnings, index_advance, index_unmeasured, index_start, index_end", site)
    assert found == ("ready", [], [], total, 0, 1000, opening + counted_after)
    segments = faulty.rows(
        "select began_with, index_from, is_dated from meter_index_segments where site_id = ? order by segment", [site]
    )
    assert segments == [("first_reading", 1000, False), ("replacement", opening, True)]


def split_of(house: FaultLake, site: str) -> dict[str, Decimal]:
    """What flats and site state of a month, added up in plain Python."""
    rows = [
        row for row in house.lake.current("meter_intervals") if row["site_id"] == site and row["meter_id"] != "plant"
    ]
    of_site = [row for row in house.lake.current("site_intervals") if row["site_id"] == site]
    sums = {
        "meters_solar": sum(row["solar"] for row in rows),
        "meters_grid": sum(row["grid"] for row in rows),
        "signed_rule_solar": sum(row["self_consumption"] for row in of_site),
        "clipped_rule_solar": sum(max(row["self_consumption"], 0) for row in of_site),
        "grid_import": sum(row["grid_import"] for row in of_site),
    }
    sums["solar_difference"] = sums["meters_solar"] - sums["signed_rule_solar"]
    sums["grid_to_nobody"] = sums["grid_import"] - sums["meters_grid"]
    sums["grid_to_nobody_rate"] = sums["grid_to_nobody"] / sums["grid_import"]
    return sums


@pytest.mark.parametrize(
    ("site", "rule", "warned"),
    [("clipped_coarse", "clipped", {"split_sum", "solar_not_produced"}), ("signed_coarse", "signed", {"negative"}),
     ("sunny", "clipped or signed", set()), ("first_come", "other", set())],
)  # fmt: skip
def test_the_split_of_a_site_is_compared_with_what_the_site_states(faulty, house, site, rule, warned):
    """One percent of what a site drew was billed to nobody, and solar energy while its plant stood still: all ready."""
    expected = split_of(house, site)
    ((*found, split_rule),) = faulty.rows(
        f"select {', '.join(expected)}, split_rule from site_balance_monthly where site_id = ?", [site]
    )
    assert [float(number) for number in found] == pytest.approx(list(expected.values()), abs=2e-3)
    assert split_rule == rule
    for meter in ("a", "b"):
        grade, warnings = october(faulty, "grade, warnings", site, meter)
        assert (grade, {said.partition(":")[0] for said in warnings}) == ("ready", warned)
    failed = faulty.rows(
        """select check_name, meter_id, reason from data_quality_monthly where site_id = ? and not passed
        and check_name in ('split_sum', 'split_scheme', 'solar_not_produced') order by 1""",
        [site],
    )
    # Another scheme is told once for the site, and on no row.
    told = {"clipped_coarse": ["solar_not_produced", "split_sum"], "first_come": ["split_scheme"]}.get(site, [])
    assert [row[:2] for row in failed] == [(name, None) for name in told]
    if site == "clipped_coarse":
        (_, _, produced), (_, _, summed) = failed
        solar, grid, lost = (round(expected[name], 3) for name in ("meters_solar", "meters_grid", "grid_to_nobody"))
        assert produced == f"{solar} kWh of solar energy are billed, while the plants of the site produced 0 kWh"
        assert summed.startswith(
            f"what is billed does not add up to what the site states: solar {solar} kWh (the site: "
        )
        assert f"grid {grid} kWh (the site: " in summed
        assert f"): {lost} kWh from the grid are billed to nobody (" in summed


@pytest.mark.parametrize("site", LONE_PEAKS)
def test_an_interval_beside_an_empty_one_is_no_peak_unless_that_is_how_the_meter_is(faulty, house, site):
    """The total was right, the peak double, the row ready, and nothing was said."""
    series = house.stated[site, "m"]
    beside = {start for start in series for other in (start - HOUR, start + HOUR) if series.get(other) == 0}
    in_october = {start: total for start, total in series.items() if start >= OPENING}
    sound = {start: total for start, total in in_october.items() if start not in beside}
    lone, next_ = (max(these, key=these.get) for these in (in_october, sound))
    peak, at, total, grade, warnings = october(faulty, "peak_kw, peak_at_utc, billable_total, grade, warnings", site)
    assert (grade, total) == ("ready", house.total(site))
    if site == "repeated_daily":
        assert (peak, at, warnings) == (series[lone], lone, [])
        return
    assert (peak, at) == (series[next_], next_)
    local = [f"{start.astimezone(ZURICH):%Y-%m-%d %H:%M}" for start in (lone, next_)]
    assert warnings == [
        "lone_peak: the highest interval stands beside an empty one and may hold the energy of both, so it is no peak: "
        f"{plain(series[lone])} kW at {local[0]}; the next is {plain(peak)} kW at {local[1]}"
    ]


@pytest.mark.parametrize("site", ["named_first", "named_later"])
def test_a_list_that_states_no_mode_takes_none_away_and_changes_nothing(faulty, site):
    assert october(faulty, "grade, meter_role, reasons, warnings", site) == ("ready", "production", [], [])


def test_mode_and_name_of_meters_csv_count_for_the_days_of_their_line(known, house):
    total = house.total("nameless", "said")
    assert october(known, "meter_name, meter_mode, meter_role, billable_total, grade", "nameless", "said") == (
        "Roof, east", "production", "production", total, "ready",
    )  # fmt: skip
    assert known.rows("select meter_name, meter_mode from meters where meter_id = 'said'") == [
        ("Roof, east", "production")
    ]
    # What it is after the line is still not known.
    grade, reasons = october(known, "grade, reasons", "nameless", "roof")
    assert (grade, {said.partition(":")[0] for said in reasons}) == ("blocked", {"unknown_role", "kind_changed"})
    told = known.rows("select * from data_quality_daily where site_id = 'nameless' and check_name = 'mode_changed'")
    assert told == []


def test_what_a_site_states_of_its_production_is_compared_with_its_plants_register(faulty, house):
    """The check was asserted nowhere: it could have compared anything."""
    plant = house.total("production_off", "plant")
    stated = plant + NOT_COUNTED * 745
    found = faulty.rows(
        """select site_id, meter_id, measured, passed, reason from data_quality_monthly
        where check_name = 'production_index' order by site_id"""
    )
    said = f"the site states {plain(stated)} kWh, its meters add up to {plain(plant)} kWh"
    assert found == [
        ("production_off", None, round((stated - plant) / stated, 6), False, said),
        ("production_on", None, 0, True, None),
    ]


def test_zero_is_told_in_hours_of_the_clock_on_the_day_that_has_25(faulty, house):
    """Every day counted for 24."""
    zeros = [total for start, total in house.stated["zero_at_change", "m"].items() if total == 0]
    rows = faulty.rows(
        """select local_date, measured from data_quality_daily
        where site_id = 'zero_at_change' and check_name = 'zero_run' order by local_date"""
    )
    assert rows == [(day, len(zeros)) for day in ZERO_DAYS]


def test_a_solar_share_beyond_all_bounds_stops_no_model_and_is_told(faulty):
    """Two consumers add up to a milliwatt-hour: what follows from that no column could hold."""
    rows = faulty.rows(
        """select meter_id, local_date, measured > 1000 from data_quality_daily
        where site_id = 'uneven' and check_name = 'equal_autonomy' order by meter_id"""
    )
    assert rows == [(meter, date(2026, 10, 6), True) for meter in ("a", "b")]


def test_a_month_is_compared_with_last_years_unless_little_or_confirmed(faulty):
    found = faulty.rows(
        """select site_id, meter_id, billing_month, measured, passed from data_quality_monthly
        where check_name = 'far_from_last_year' order by site_id"""
    )
    assert found == [
        ("a_fifth", "m", MONTH, 5, False),
        ("five_times", "m", MONTH, 5, False),
        ("four_times", "m", MONTH, 4, True),
    ]


def test_the_rare_checks_say_what_was_found(faulty):
    said = dict(
        faulty.rows(
            """select check_name, any_value(reason order by site_id desc) from data_quality_monthly
            where not passed group by check_name"""
        )
    )
    assert said["register_type"] == (
        "raw readings are of another kind of register: volume, on 31 days from 2026-10-01 to 2026-10-31"
    )
    assert said["mode_changed"] == (
        "listed differently from electricity production to electricity consumption, on 2026-10-15"
    )
    assert (
        said["grid_without_import"]
        == "0.051 kWh from the grid in a day, while the site drew nothing from it, on 2026-10-09"
    )
    assert said["far_from_last_year"] == "the month holds 775 m3, the same month last year 155 m3"


def plain(number: Decimal) -> str:
    """As people write it: 180.9 instead of 180.900000."""
    return f"{number.normalize():f}"


def sentences(house: FaultLake) -> dict[tuple[str, str], str]:
    """By site and check: what a clerk has to read, made of what the lake states."""

    def index(begin: int, series: dict[datetime, Decimal], at: datetime) -> Decimal:
        return begin + sum(value for start, value in series.items() if start < at)

    def times_the_rest(site: str) -> str:
        """The highest day's peak over the third highest, the second among the others."""
        of_days: dict[date, Decimal] = {}
        for start, total in house.stated[site, "m"].items():
            day = start.astimezone(ZURICH).date()
            of_days[day] = max(total, of_days.get(day, Decimal(0)))
        peaks = sorted(of_days.values())
        return plain(round(peaks[-1] / peaks[-3], 3))

    jump, in_kwh = house.stated["jump", "m"], ordinary("watt_hours_between")
    went_to = f"{plain(index(1000, jump, CUT))} to {plain(index(1500, jump, CUT + HOUR))} kWh"
    in_other_units = f"{plain(index(20, in_kwh, CUT))} to {plain(index(20, in_kwh, CUT + HOUR) * 1000)}"
    summed = {site: plain(house.total(site)) for site in ("stuck", "unbalanced")}
    return {
        ("gap", "missing_intervals"): "4 intervals that were asked for did not come, "
        "on 2 days from 2026-10-07 to 2026-10-08",
        ("null_value", "null_intervals"): "1 interval has no value, on 2026-10-08",
        ("jump", "replaced"): f"the register went from {went_to}, on 2026-10-12; date the replacement in meters.csv "
        "(replaced_at), or have it corrected",
        ("watt_hours_between", "unit_change"): f"the register went from {in_other_units}, a thousandfold: one of both "
        "is in another unit, on 2 days from 2026-10-12 to 2026-10-13; have it corrected, or accept it",
        # The peak is at six in the morning of a summer in Zurich: 04:00 in UTC.
        ("spike_unread", "spike_unread"): f"{times_the_rest('spike_unread')} times the second highest other day, "
        "at 2026-10-08 06:00, while no register was read",
        ("swap_of_zero", "swapped_registers"): "the other register counted what the intervals state, "
        "on 10 days from 2026-10-10 to 2026-10-19",
        ("stuck", "stuck"): "the same value 8 times in a row (0.777 kWh), on 2026-10-08",
        ("stuck", "index_difference"): f"the intervals add up to {summed['stuck']} kWh, "
        f"the register counted {plain(sum(ordinary('stuck').values()))} kWh",
        ("unbalanced", "site_sum"): f"the site states {plain(2 * house.total('unbalanced'))} kWh, "
        f"its meters add up to {summed['unbalanced']} kWh",
        ("disputed", "conflicting_rows"): "an interval came twice, with two values, the last of which counts "
        "(2026-10-11 12:00), on 2 days from 2026-10-11 to 2026-10-12",
        ("twice", "duplicate_rows"): "an interval came twice, and counts once (2026-10-11 12:00), "
        "on 2 days from 2026-10-11 to 2026-10-31",
        ("become_rule", "mode_changed"): "listed differently from electricity consumption to electricity consumption "
        "(rule meter), on 2026-10-15",
        ("disputed_still", "conflicting_rows"): "an interval came twice, with two values, the last of which counts "
        "(2026-10-11 12:00)",
    }  # fmt: skip


def test_a_reason_says_on_which_local_days_and_what_in_which_unit(faulty, house):
    """`accept` needs days, and the reason told how many; six decimals, no unit, and twice the zone of UTC."""
    expected = sentences(house)
    rows = faulty.rows(
        "select site_id, check_name, reason from data_quality_monthly where not passed and billing_month = ?", [MONTH]
    )
    said = {(site, check): reason for site, check, reason in rows}
    assert {key: said[key] for key in expected} == expected


def test_a_reason_of_any_period_names_its_own_days(faulty):
    for last, words in [
        (7, "2 intervals that were asked for did not come, on 2026-10-07"),
        (31, "4 intervals that were asked for did not come, on 2 days from 2026-10-07 to 2026-10-08"),
    ]:
        (reasons,) = within(faulty, (1, last), "reasons", "gap")
        assert f"missing_intervals: {words}" in reasons


# --- Flows ---------------------------------------------------------------------------------------------------------

SEVERAL = "the site has several meters of this mode, and the registers were not read at both bounds"
NOT_WHOLE = "the series of the site is not whole, and the registers were not read at both bounds"
ONE_WAY = "the meter measures one direction"


def flows_of(built: Built, site: str, meter: str) -> tuple:
    return october(
        built, "flow_source, grid_import, grid_export, storage_charge, storage_discharge, flow_reason", site, meter
    )


@pytest.mark.parametrize(("meter", "place"), [("grid", 0), ("store", 2)])
def test_flows_are_the_sites_where_it_has_one_meter_of_the_mode(faulty, meter, place):
    names = (("grid_import", "grid_export"), ("storage_charge", "storage_discharge"))[place // 2]
    stated = [sum(flow_of_site("stated", name).values()) for name in names]
    flows = flows_of(faulty, "stated", meter)
    assert (flows[0], flows[-1]) == ("site_intervals", None)
    assert list(flows[1 + place : 3 + place]) == stated
    assert [flow for number, flow in enumerate(flows[1:5]) if number not in {place, place + 1}] == [None, None]


@pytest.mark.parametrize(
    ("site", "meter"),
    [
        ("two_ways", "grid"),
        ("two_ways", "grid2"),
        ("two_ways", "store"),
        ("two_ways", "store2"),
        ("no_store", "store"),
        ("incomplete", "grid"),
    ],
)
def test_flows_are_the_registers_where_the_site_does_not_tell_them_apart(faulty, site, meter):
    """A site with a battery that states no storage had flows of null, said to be the site's."""
    counted = [sum(series.values()) for series in both_ways(site, meter).values()]
    place = 0 if meter.startswith("grid") else 2
    expected: list[Decimal | None] = [None] * 4
    expected[place : place + 2] = counted
    assert flows_of(faulty, site, meter) == ("register", *expected, None)


def test_flows_of_a_meter_wired_the_wrong_way_round_are_those_of_the_other_registers(faulty):
    """Import and feed-in were both taken from the import register."""
    flows = {meter: flows_of(faulty, "crossed", meter)[1:3] for meter in ("grid", "grid2")}
    counted = tuple(sum(series.values()) for series in both_ways("crossed", "grid").values())
    assert flows == {"grid": counted, "grid2": counted}
    assert october(faulty, "index_register, index_advance, export_index_advance", "crossed") == ("import", None, None)
    assert october(faulty, "index_register, index_advance, export_index_advance", "crossed", "grid") == (
        "export", *counted,
    )  # fmt: skip


def test_flows_go_on_where_the_registers_changed_places(faulty):
    """The feed-in of the month was one register's count at its end less the other's at its beginning."""
    for meter in ("grid", "grid2"):
        series = both_ways("crossing", meter)
        counted = [sum(series[name].values()) for name in ("import", "export")]
        assert flows_of(faulty, "crossing", meter)[:3] == ("register", *counted)


@pytest.mark.parametrize(
    ("site", "meter", "reason"),
    [
        ("unread", "grid", SEVERAL),
        ("unread", "grid2", SEVERAL),
        ("changed_grid", "grid", SEVERAL),
        ("changed_grid", "grid2", SEVERAL),
        ("unstated", "grid", NOT_WHOLE),
        ("unstated", "store", NOT_WHOLE),
        ("stated", "m", ONE_WAY),
        ("night", "m", ONE_WAY),
    ],
)
def test_flows_that_nobody_tells_are_null_with_a_reason(faulty, site, meter, reason):
    """A connection that was replaced in the month: each of its meters was given all that the site drew."""
    assert flows_of(faulty, site, meter) == (None, None, None, None, None, reason)


@pytest.mark.parametrize(("site", "meter"), [("two_ways", "grid"), ("two_ways", "store"), ("night", "m")])
def test_meters_that_run_both_ways_show_the_other_register(faulty, house, site, meter):
    start, end, advance = october(faulty, "export_index_start, export_index_end, export_index_advance", site, meter)
    backward = house.total(site) if site == "night" else sum(both_ways(site, meter)["export"].values())
    first = 1000 if site == "night" else 7000
    assert (start, end, advance) == (first, first + backward, backward)


def test_a_consumer_shows_no_other_register(faulty):
    columns = "export_index_start, export_index_end, export_index_advance"
    for site in ("clean", "swapped", "exchanged"):
        assert october(faulty, columns, site) == (None, None, None)


def test_a_battery_has_two_registers_and_no_one_index(faulty, house):
    """What it took and gave back can't be one advance."""
    row = october(
        faulty,
        "grade, reasons, total, solar, unit, meter_role, is_billed, index_register, index_advance",
        "stated",
        "store",
    )
    assert row == ("ready", [], house.total("stated", "store"), None, "kWh", "storage", False, None, None)


def test_every_check_has_its_tolerance_and_reason_in_one_place(faulty):
    rows = faulty.rows("select check_name, severity, why, is_overridden from data_quality_checks")
    assert len(rows) == len({row[0] for row in rows}) > 35
    assert {row[1] for row in rows} == {"waits", "blocks", "warns"}
    assert all(len(row[2]) > 15 and not row[3] for row in rows)
    used = {row[0] for row in faulty.rows("select distinct check_name from data_quality_monthly")}
    assert used <= {row[0] for row in rows}


# --- What the user knows -------------------------------------------------------------------------------------------

ALWAYS = (date(1900, 1, 1), date(9999, 12, 31))


def fact(site: str, meter: str = "m", valid: tuple[date, date] = ALWAYS, **known: object) -> tuple:
    row = dict.fromkeys(
        ("meter_name", "meter_mode", "register_map", "resolution", "installed_on", "replaced_at_utc",
         "in_service_from", "in_service_until", "billing_point", "is_billed", "interval_minutes", "note")
    )  # fmt: skip
    return (site, meter, *valid, *{**row, **known}.values())


FIRST_DATE, LAST_DATE = ALWAYS


def example_facts(folder: Path) -> list[tuple]:
    """The lines of the meters.csv that is shipped as an example."""
    layout = Layout(folder)
    layout.config.mkdir(parents=True)
    shutil.copy(Path(__file__).parents[2] / "docs" / "examples" / "config" / "meters.csv", layout.config)
    return input_tables(read_user_inputs(layout), layout, "Europe/Zurich").meter_facts.rows()


FACTS = [
    fact("half", valid=(FIRST_DATE, october_day(10)), is_billed=False),
    fact("two_parts", valid=(FIRST_DATE, october_day(10)), in_service_until=october_day(10)),
    fact("two_parts", valid=(october_day(11), LAST_DATE), in_service_from=october_day(20)),
    fact("never_billed", in_service_until=date(2026, 9, 30), is_billed=False),
    fact("tenants", valid=(FIRST_DATE, october_day(14)), billing_point="Tenant A"),
    fact("tenants", valid=(october_day(15), LAST_DATE), billing_point="Tenant B"),
    fact("fall", replaced_at_utc=CUT + timedelta(minutes=20)),
    fact("starts", in_service_from=date(2026, 10, 9)),
    fact("ends", in_service_until=date(2026, 10, 20)),
    fact("moved", "old", in_service_until=date(2026, 10, 14), billing_point="Flat 1"),
    fact("moved", "new", in_service_from=date(2026, 10, 15), billing_point="Flat 1"),
    fact("swapped", register_map="swapped"),
    *(fact(site, replaced_at_utc=CUT) for site in ("cut_spike", "cut_stuck", "cut_disputed")),
    *(
        fact(f"replaced_{name}", replaced_at_utc=CUT)
        for name in ("grid", "early", "in_gap", "twice", "unseen", "between")
    ),
    fact("replaced_at_night", replaced_at_utc=CUT_UNSEEN),
    fact("restless_dated", replaced_at_utc=hour(12, 11) + timedelta(minutes=20)),
    fact("swap_dated", replaced_at_utc=SWAPPED_FROM + timedelta(minutes=20)),
    # What the line is valid for is not when the meter served.
    fact("taken_out", valid=(date(2026, 11, 1), LAST_DATE), in_service_until=october_day(20)),
    fact("turned_stores", "store", register_map="swapped"),
    fact("edges", "empty_first", in_service_from=october_day(1)),
    fact("edges", "empty_last", in_service_until=october_day(31)),
    fact("edges", "null_last", in_service_until=october_day(31)),
    fact("edges", "touching", valid=(FIRST_DATE, october_day(15)), in_service_until=october_day(15)),
    fact("edges", "touching", valid=(october_day(16), LAST_DATE), in_service_from=october_day(16)),
    fact("edges", "zeros_after", in_service_until=october_day(20)),
    fact("points", "flat", billing_point="Shop"),
    fact("points", "roof", billing_point="Shop", is_billed=True),
    fact("points", "old", billing_point="Flat 7", in_service_until=october_day(10)),
    fact("points", "new", billing_point="Flat 7", in_service_from=october_day(15)),
    fact("listed_late", "second", in_service_from=october_day(5)),
    fact("spoilt", "plant", billing_point="House", is_billed=True),
    fact("spoilt", "right", billing_point="House"),
    fact("cut_month", replaced_at_utc=CUT),
    fact("cut_outage", replaced_at_utc=CUT),
    fact("two_lives", valid=(FIRST_DATE, october_day(15)), in_service_until=october_day(10)),
    fact("two_lives", valid=(october_day(16), LAST_DATE), in_service_from=october_day(20)),
    fact("used_at_once", in_service_from=october_day(15)),
    fact("used_later", in_service_from=october_day(15)),
    fact("unbilled_to_consumer", is_billed=False),
    fact("quarters", interval_minutes=60),
    fact("hours_from_15", interval_minutes=60),
    fact("old_house", SHARED, in_service_until=october_day(12)),
    fact("new_house", SHARED, in_service_from=october_day(13)),
    fact("old_house", MOVED, in_service_until=october_day(15)),
    fact("new_house", MOVED, in_service_from=october_day(15)),
    fact("new_house", "flat-1", is_billed=False),
    fact("namesakes", "a", billing_point="Attic"),
    fact("namesakes", "b", billing_point="Attic", meter_name="Flat 2"),
    fact("namesakes", "heat", billing_point="Attic"),
    fact("nameless", "said", meter_mode="production", meter_name="Roof, east"),
    fact("nameless", "roof", valid=(FIRST_DATE, october_day(14)), meter_mode="introduction"),
]
DECISIONS = [
    ("index_difference", "one_day_off", "m", date(2026, 10, 20), date(2026, 10, 20), "exclude", "Ada", "a test"),
    ("index_difference", "another_day_off", "m", date(2026, 10, 20), date(2026, 10, 20), "exclude", "Ada", "a test"),
    ("site_balance", "site_off", None, date(2026, 10, 20), date(2026, 10, 20), "exclude", "Ada", "a test"),
    ("site_balance", "meter_off", "m", date(2026, 10, 20), date(2026, 10, 20), "exclude", "Ada", "a test"),
    ("kind_changed", "retyped_back", "m", date(2026, 10, 1), date(2026, 10, 31), "accept", "Ada", "known"),
    ("index_difference", "wrong_day", "m", date(2026, 10, 3), date(2026, 10, 3), "exclude", "Ada", "a test"),
    ("missing_intervals", "other_days", "m", date(2026, 10, 3), date(2026, 10, 3), "exclude", "Ada", "a party"),
    ("missing_intervals", "one_day_each", "grid", date(2026, 10, 3), date(2026, 10, 3), "exclude", "Ada", "a test"),
    ("missing_intervals", "edges", "peak", date(2026, 10, 3), date(2026, 10, 3), "exclude", "Ada", "a test"),
    ("missing_intervals", "gap", "m", date(2026, 10, 7), date(2026, 10, 8), "accept", "Ada", "read by hand"),
    ("missing_intervals", "changed_clock", None, date(2026, 10, 1), date(2026, 10, 31), "accept", "Ada", "known"),
    ("index_difference", "stuck", "m", date(2026, 10, 5), date(2026, 10, 10), "accept", "Ada", "too short a stretch"),
    ("index_difference", "spoilt", "wrong", date(2026, 10, 1), date(2026, 10, 31), "accept", "Ada", "read on the spot"),
    ("null_intervals", "replaced_in_gap", "m", date(2026, 10, 12), date(2026, 10, 12), "accept", "Ada", "known"),
    ("unsound_sibling", "spoilt_grid", "right", date(2026, 10, 1), date(2026, 10, 31), "accept", "Ada", "small"),
    ("unsound_sibling", "spoilt_grid", "right", date(2026, 9, 1), date(2026, 12, 31), "accept", "Bob", "small"),
    ("not_confirmed", "once", "m", date(2026, 10, 1), date(2026, 10, 31), "accept", "Ada", "nobody can ask again"),
    ("empty", "clean", "m", date(2026, 10, 1), date(2026, 10, 31), "exclude", "Bob", "paid by the owner"),
    ("estimated", "estimated", "m", date(2026, 10, 1), date(2026, 10, 31), "accept", "Ada", "nobody can"),
    ("duplicate_rows", "twice", "m", date(2026, 10, 1), date(2026, 10, 31), "accept", "Ada", "harmless"),
    *(
        (check, site, "m", date(2026, 10, 1), date(2026, 10, 31), "accept", "Ada", why)
        for check, site in (("null_intervals", "null_value"), ("no_data", "silent"))
        for why in ("z", "b", "a", "c")
    ),
]
CLOSED = [
    ("steady", MONTH, 1, "close", hour(20, 0), "Ada", hour(20, 0), "x", ["total", "solar", "grid"]),
    ("glitch", MONTH, 1, "close", hour(20, 0), "Ada", hour(20, 0), "x", ["total", "solar", "grid"]),
]


def knowledge(house: FaultLake, more_facts: list[tuple]) -> dict[str, list[tuple]]:
    total = house.total("glitch")
    return {
        "meter_facts": [*FACTS, *more_facts],
        "decisions": DECISIONS,
        "tolerances": [
            ("sentinel", Decimal(1), "one is known"),
            ("index_difference", Decimal("0.0015"), "old meters"),
            ("wrong_unit", Decimal("0.3"), "coarse registers"),
        ],
        "closed_versions": CLOSED,
        "closed_rows": [
            ("steady", MONTH, 1, "m", house.total("steady") - 1, Decimal(0), house.total("steady") - 1),
            ("glitch", MONTH, 1, "m", total, Decimal(0), total),
        ],
    }


@pytest.fixture(scope="module")
def known(house, faulty, tmp_path_factory) -> Built:
    """The same lake, in an incremental refresh with the user's inputs."""
    layout = Layout(tmp_path_factory.mktemp("known") / "data")
    shutil.copytree(faulty.layout.root, layout.root)
    facts = example_facts(tmp_path_factory.mktemp("example"))
    return Built(layout, lambda: house.lake, build_with(layout, **knowledge(house, facts)))


def names_in(built: Built, tables: Collection[str]) -> set[str]:
    """The checks that these tables of the build file have rows of."""
    with duckdb.connect(built.layout.build_file, read_only=True) as connection:
        # Some are views over the days that are being built.
        connection.execute("set variable built_from = date '2026-09-01'")
        connection.execute("set variable built_until = date '2026-11-30'")
        queries = " union ".join(f"select check_name from {load_project().models[name].relation}" for name in tables)
        return {name for (name,) in connection.execute(queries).fetchall()}


CALLED_TOO_EARLY = "too_young"
"""The lake was asked long after; ``test_warehouse_refresh`` has a meter that was not."""


def test_each_line_of_the_table_of_checks_has_a_query_and_a_site_on_which_it_fails(faulty, known):
    """A line without its query, or without a case, was noticed by nobody."""
    failed = "check_name from data_quality_daily where not passed union select check_name from data_quality_monthly"
    found = {name for built in (faulty, known) for (name,) in built.rows(f"select {failed} where not passed")}
    assert set(known_checks()) - found == {CALLED_TOO_EARLY}


PUT_TOGETHER = ("int_period_checks", "int_period_day_checks", "int_period_own_checks")
"""Models of the checks of all families."""


def test_each_query_measures_a_check_of_the_table_of_days_or_of_periods_as_its_line_has_it(faulty, known):
    """Without its line, or on days and without ``over_days``, a query was left out in silence."""
    models = load_project().models
    of_days = [name for name in models if name.endswith("_checks_daily")]
    of_periods = [
        name
        for name in models
        if re.fullmatch(r"int_period_\w+_checks|\w+_checks_monthly", name) and name not in PUT_TOGETHER
    ]
    assert (len(of_days), len(of_periods)) >= (5, 4)
    lines = faulty.rows("select check_name, over_days is not null from data_quality_checks")
    for tables, are_of_days in ((of_days, True), (of_periods, False)):
        measured = names_in(faulty, tables) | names_in(known, tables)
        assert measured == {name for name, is_of_days in lines if is_of_days == are_of_days}


@pytest.mark.parametrize("site", ["fall", "starts", "ends"])
def test_what_is_dated_in_meters_csv_is_ready(known, site):
    assert october(known, "grade, reasons", site) == ("ready", [])


def test_expected_counts_run_only_while_a_meter_is_in_service(known, house):
    assert october(known, "intervals_expected, intervals_missing, total", "starts") == (
        23 * 24 + 1, 0, house.total("starts"),
    )  # fmt: skip
    assert october(known, "intervals_expected, intervals_missing", "ends") == (20 * 24, 0)


def test_an_accepted_failure_no_longer_blocks_and_names_who_and_why(known):
    grade, reasons, billable, total = october(known, "grade, reasons, billable_total, total", "gap")
    assert (grade, billable) == ("ready", total)
    assert reasons == [
        "missing_intervals: 4 intervals that were asked for did not come, on 2 days from 2026-10-07 to 2026-10-08"
        " (accepted by Ada: read by hand)"
    ]


def test_a_decision_counts_for_its_check_and_for_all_failed_days_or_not_at_all(known):
    grade, reasons = october(known, "grade, reasons", "changed_clock")
    assert grade == "blocked"  # the count of the change day was not accepted
    assert ["accepted" in reason for reason in reasons] == [True, False]
    assert october(known, "grade", "stuck") == ("blocked",)  # a failure of the month is not accepted for six days of it


@pytest.mark.parametrize(
    ("site", "check", "warnings"),
    [("cut_spike", "spike_unread", {"spike", "unmeasured"}), ("cut_stuck", "stuck_unread", {"stuck"}),
     ("cut_disputed", "conflicting_rows", set())],
)  # fmt: skip
def test_a_register_that_measured_nothing_of_a_day_confirms_nothing_of_it(known, site, check, warnings):
    """On the day of a dated replacement nothing equals nothing, and a spike of 40 kWh was ready without a word."""
    grade, reasons, odd = october(known, "grade, reasons, warnings", site)
    assert (grade, [reason.partition(":")[0] for reason in reasons]) == ("blocked", [check])
    assert {warning.partition(":")[0] for warning in odd} == warnings


def test_what_the_index_confirms_follows_the_tolerance_of_the_index(faulty, known):
    """The thousandth stood twice: the user's own tolerance counted for the month, and for its days it did not."""
    warnings = [october(built, "warnings", "nearly_confirmed")[0] for built in (faulty, known)]
    assert [len(odd) for odd in warnings] == [1, 0]


def test_nobody_is_named_where_nobody_can_accept(known):
    rows = known.rows("select distinct accepted_by from data_quality_daily where check_name = 'estimated'")
    assert rows == [(None,)]


def test_what_was_accepted_is_a_reason_and_no_warning_any_more(known):
    """The same sentence stood in both."""
    ((reason,), warnings) = october(known, "reasons, warnings", "twice")
    assert reason.startswith("duplicate_rows: ")
    assert reason.endswith(" (accepted by Ada: harmless)")
    assert warnings == []


@pytest.mark.parametrize(("site", "check"), [("null_value", "null_intervals"), ("silent", "no_data")])
def test_of_several_reasons_of_one_person_the_same_one_is_told_every_time(known, site, check):
    """Which one was told, and frozen, depended on the order of rows."""
    rows = known.rows(
        "select accepted_why from data_quality_monthly where (site_id, check_name) = (?, ?)", [site, check]
    )
    assert rows == [("a",)]


def test_a_month_that_nobody_can_confirm_is_accepted_by_a_person(known):
    """The decision was taken without a word and had no effect: a rule meter that is gone was never ready."""
    grade, reasons = october(known, "grade, reasons", "once")
    assert grade == "ready"
    assert [reason.partition(":")[0] for reason in reasons] == ["not_confirmed"]
    assert reasons[0].endswith("(accepted by Ada: nobody can ask again)")


@pytest.mark.parametrize(
    ("line", "is_said"),
    [
        ("missing_intervals,gap,m,2026-10-08,2026-10-08,accept", False),
        ("missing_intervals,gap,,2026-10-01,2026-12-31,accept", False),
        ("missing_intervals,gap,m,2026-10-09,2026-10-31,accept", True),
        ("missing_intervals,gap,m,2026-10-09,2026-10-31,exclude", False),
        ("null_intervals,gap,m,2026-10-01,2026-10-31,accept", True),
        ("missing_intervals,clean,m,2026-10-01,2026-10-31,accept", True),
        ("missing_intervals,siblings,a,2026-10-01,2026-10-31,accept", True),  # it is b that has a gap
        ("site_balance,unbalanced,,2026-10-03,2026-10-03,accept", False),
        ("site_balance,unbalanced,m,2026-10-03,2026-10-03,accept", True),  # it is no meter that failed
        ("index_difference,stuck,m,2026-10-01,2026-10-31,accept", False),
        ("index_difference,stuck,m,2026-01-01,2026-12-31,accept", False),
        ("index_difference,stuck,m,2026-09-01,2026-09-30,accept", True),
        ("index_difference,clean,m,2026-10-01,2026-10-31,accept", True),
    ],
)
def test_a_decision_about_days_on_which_nothing_failed_is_named(faulty, tmp_path, line, is_said):
    """A slip in the date was said by nobody, and a failure that a later call had mended stayed accepted in the file."""
    layout = Layout(tmp_path)
    layout.config.mkdir()
    (layout.config / "decisions.csv").write_text(f"check,site_id,meter_id,from,to,action,who,why\n{line},Ada,known\n")
    check, _, _, first, last, _ = line.split(",")
    words = f"by what is published, {check} did not fail from {first} to {last} at "
    inputs = read_user_inputs(layout)
    named = without_effect(inputs, faulty.layout.warehouse)
    assert [said.startswith(f"decisions.csv, line 2: {words}") for said in named] == [True] * is_said
    (new,) = inputs.decisions
    assert (nothing_failed(new.content, faulty.layout.warehouse) or "").startswith(words) is is_said
    assert without_effect(inputs, layout.warehouse) == []  # before the first refresh, nobody knows


@pytest.mark.parametrize(
    ("site", "meter", "words"),
    [
        ("siblings", "b", None),
        ("siblings", None, None),
        ("nosuch", "b", "no site 'nosuch' was ever listed; "),
        ("siblings", "m", "no meter 'm' was ever listed at site 'siblings'; "),
    ],
)
def test_a_decision_about_a_meter_that_was_never_listed_is_refused(faulty, tmp_path, site, meter, words):
    """It was written to the file with status 0."""
    decided = decision(
        {"check": "missing_intervals", "site_id": site, "meter_id": meter, "from": "2026-10-07", "to": "2026-10-07"}
        | {"action": "accept", "who": "Ada", "why": "known"}
    )
    check_ids(decided, Layout(tmp_path).warehouse)
    if words is None:
        check_ids(decided, faulty.layout.warehouse)
    else:
        with pytest.raises(ConfigurationError, match=f"^{words}.* write the line into decisions.csv by hand"):
            check_ids(decided, faulty.layout.warehouse)


def test_what_is_excluded_is_not_billable_and_says_why(known):
    grade, billable, solar, reasons, days = october(
        known, "grade, billable_total, billable_solar, reasons, days_excluded", "clean"
    )
    assert (grade, billable, solar, days) == ("ready", None, None, 31)
    assert reasons == ["excluded: paid by the owner (Bob)"]


def test_a_tolerance_of_the_users_own_counts_and_is_told(known):
    (row,) = known.rows("select tolerance, why, is_overridden from data_quality_checks where check_name = 'sentinel'")
    assert row == (Decimal(1), "one is known", True)
    assert known.rows("from data_quality_daily where check_name = 'sentinel'") == []


def test_the_tolerance_of_a_wrong_unit_is_how_far_from_a_thousand_the_ratio_may_be(faulty, known):
    """The limits stood in the check as well, and a line in tolerances.csv changed nothing."""
    for built, expected in ((faulty, {"index_difference"}), (known, {"index_difference", "wrong_unit"})):
        assert set(codes(october(built, "reasons", "eight_hundredfold")[0])) == expected
    ((measured,),) = known.rows(
        "select measured from data_quality_monthly where site_id = 'eight_hundredfold' and check_name = 'wrong_unit'"
    )
    assert measured == Decimal("0.25")


def test_a_change_after_closing_blocks_and_no_change_does_not(known, house):
    grade, reasons = october(known, "grade, reasons", "steady")
    assert grade == "blocked"
    closed, now = (plain(house.total("steady") - less) for less in (1, 0))
    assert reasons[0] == (
        f"changed_after_closing: the month was closed with total {closed} kWh (now {now} kWh), "
        f"grid {closed} kWh (now {now} kWh): settle it and bill the correction"
    )
    assert october(known, "grade", "glitch") == ("ready",)


def test_a_billing_point_adds_up_the_meters_that_served_it_one_after_the_other(known, house):
    ((total, grade, meters, segments, expected),) = known.rows(
        "select total, grade, meters, segments, intervals_expected from billing_points_monthly"
        " where billing_point = 'Flat 1' and billing_month = '2026-10-01'"
    )
    old, new = house.total("moved", "old"), house.total("moved", "new")
    assert (total, grade, meters, expected) == (old + new, "ready", 2, 745)
    assert [(part["meter_id"], part["first_day"], part["last_day"], part["total"]) for part in segments] == [
        ("old", date(2026, 10, 1), date(2026, 10, 14), old),
        ("new", date(2026, 10, 15), date(2026, 10, 31), new),
    ]


def test_what_a_billing_point_consumes_and_produces_are_rows_of_their_own(known, house):
    """A roof and a flat of one point were one sum, of which nobody could be billed anything."""
    rows = known.rows("select meter_role, total, meters from billing_points_monthly where billing_point = 'House'")
    assert sorted(rows) == [
        ("consumer", house.total("spoilt", "right"), 1), ("production", house.total("spoilt", "plant"), 1),
    ]  # fmt: skip


def test_a_stated_register_map_is_no_finding(known, house):
    grade, warnings, register, advance = october(known, "grade, warnings, index_register, index_advance", "swapped")
    assert (grade, warnings, register, advance) == ("ready", [], "export", house.total("swapped"))


# --- Replacements that are dated ---


@pytest.mark.parametrize("site", ["replaced_early", "replaced_in_gap", "replaced_unseen", "replaced_at_night"])
def test_a_dated_replacement_cuts_whatever_the_register_and_the_intervals_say(known, house, site):
    """A fall between two mornings, a jump while an interval is missing, and a new device that stood little higher."""
    series = house.stated[site, "m"]
    first, last = {
        "replaced_early": (hour(12, 6), hour(13, 6)),
        "replaced_at_night": (CUT_UNSEEN, CUT_UNSEEN + HOUR),
    }.get(site, (CUT, CUT + HOUR))
    lost = sum(value or 0 for start, value in series.items() if first <= start < last)
    # At midnight the register that is read at six stands on the line, three quarters of the way.
    off = 0
    if site == "replaced_early":
        at_first = sum(value for start, value in series.items() if start < hour(1, 6))
        at_last = sum(value for start, value in series.items() if start >= hour(31, 6))
        off = (Decimal(2) + at_last) * 3 / 4 - at_last - at_first * 3 / 4
    grade, advance, unmeasured = october(known, "grade, index_advance, index_unmeasured", site)
    assert (grade, unmeasured) == ("ready", lost)
    assert advance == pytest.approx(house.total(site) - lost + off, abs=Decimal("0.000002"))
    assert known.rows("select began_with, from_utc, is_dated from meter_index_segments where site_id = ?", [site])[
        1:
    ] == [("replacement", last, True)]


def test_what_reaches_into_the_time_of_a_replacement_is_uncertain_and_no_difference(known):
    """Half of each of two large intervals was counted, and neither half is known."""
    ((error,),) = known.rows(
        "select measured from data_quality_monthly where site_id = ? and check_name = 'index_difference'",
        ["replaced_between"],
    )
    difference, unmeasured = october(known, "index_difference, index_unmeasured", "replaced_between")
    assert (error, unmeasured) == (0, 0)
    assert 19 < difference < 21


def test_every_register_of_a_replaced_device_is_cut_and_its_flows_are_not_given(known, house):
    """Export of the new device stood higher, and 5000 kWh of feed-in were billable."""
    flows = both_ways("replaced_grid", "m")
    drawn, fed_in = (sum(series.values()) - series[CUT] for series in flows.values())
    assert october(known, "grade, index_advance, export_index_advance, index_unmeasured", "replaced_grid") == (
        "ready", drawn, fed_in, flows["import"][CUT],
    )  # fmt: skip
    assert flows_of(known, "replaced_grid", "m") == (
        None, None, None, None, None, "the device was replaced inside the period",
    )  # fmt: skip
    assert within(known, (1, 11), "flow_source, grid_export", "replaced_grid") == (
        "register", sum(value for start, value in flows["export"].items() if start < hour(12, 0)),
    )  # fmt: skip


def test_each_replacement_needs_its_own_date(known):
    """One date silenced every other replacement within two days."""
    grade, reasons = october(known, "grade, reasons", "replaced_twice")
    assert (grade, len(reasons)) == ("provisional", 1)
    assert reasons[0].startswith("replaced: ")
    segments = known.rows(
        "select from_utc, is_dated from meter_index_segments where site_id = 'replaced_twice' and segment > 1"
    )
    assert segments == [(CUT + HOUR, True), (CUT_LATER + HOUR, False)]


def test_a_battery_that_is_wired_the_wrong_way_round_is_turned_by_its_register_map(known):
    """Charge and discharge stayed in each other's place, as no one register counts for a battery."""
    turned, straight = (both_ways("turned_stores", meter) for meter in ("store", "store2"))
    assert flows_of(known, "turned_stores", "store")[3:5] == (
        sum(turned["import"].values()), sum(turned["export"].values()),
    )  # fmt: skip
    assert flows_of(known, "turned_stores", "store2")[3:5] == (
        sum(straight["export"].values()), sum(straight["import"].values()),
    )  # fmt: skip


@pytest.mark.story
def test_dates_that_come_and_go_without_a_changed_day_are_followed_as_in_a_full_build(tmp_path):
    """A cut that was kept with the day in which it lies would stay when its date is moved or withdrawn."""
    layout = Layout(tmp_path / "data")
    house = dated_lake()
    house.write(layout)
    built = Built(layout, lambda: house.lake, build_with(layout))

    def contents() -> list[list[tuple]]:
        tables = "meter_index_days", "meter_index_segments", "billing_monthly", "data_quality_daily"
        return [built.rows(f"from {table} order by all") for table in tables]

    undated = contents()
    facts = [each for each in FACTS if each[0] in {site for site, _ in house.stated}]
    assert not build_with(layout, meter_facts=facts).models.is_outdated
    dated = contents()
    assert all(one != other for one, other in zip(undated, dated, strict=True))
    build_with(layout, full=True, meter_facts=facts)
    assert contents() == dated
    build_with(layout, meter_facts=[fact("clean", note="no dates any more")])
    assert contents() == undated


@pytest.mark.parametrize("site", ["absurd", "absurd_midnights"])
def test_a_reading_that_no_building_reaches_is_told_as_a_glitch_and_counts_nothing(faulty, house, site):
    """Two of them in a row overflowed the sum of what the register had counted, and no site was refreshed."""
    glitches = faulty.rows(
        "select local_date, measured from data_quality_daily where site_id = ? and check_name = 'index_glitch'", [site]
    )
    assert glitches == [(day, 1) for day in ABSURD_DAYS]
    assert october(faulty, "index_advance, index_difference", site) == (house.total(site), 0)


# --- The life of a meter, and what is billed of a month -----------------------------------------------------------


def months_of(built: Built, site: str, meter: str) -> dict[int, tuple]:
    rows = built.rows(
        """select month(billing_month), grade, reasons, total, intervals_expected, intervals_missing
        from billing_monthly where (site_id, meter_id) = (?, ?)""",
        [site, meter],
    )
    return {month: tuple(rest) for month, *rest in rows}


def test_the_example_of_meters_csv_dates_two_meters_of_a_flat(known, house):
    """The dates of service were forgotten where the line that states them ended, so both meters stayed provisional."""
    outside = ("ready", ["not_in_service: no day of the period, by meters.csv"], None, 0, 0)
    for meter in EXAMPLE_LIVES:
        rows = months_of(known, EXAMPLE_SITE, meter)
        assert set(rows) == {4, 5, 6}
        for month, row in rows.items():
            stated = [
                total
                for start, total in house.stated[EXAMPLE_SITE, meter].items()
                if start.astimezone(ZURICH).month == month
            ]
            assert row == (("ready", [], sum(stated), len(stated), 0) if stated else outside), (meter, month)
    points = known.rows(
        "select month(billing_month), billing_point, meters, grade from billing_points_monthly where site_id = ?"
        " order by all",
        [EXAMPLE_SITE],
    )
    assert points == [(4, "Flat 2.1", 1, "ready"), (5, "Flat 2.1", 2, "ready"), (6, "Flat 2.1", 1, "ready")]


def test_a_meter_may_go_out_of_service_and_come_back(known, house):
    total = house.total("two_parts", last=10) + house.total("two_parts", first=20)
    columns = "grade, total, billable_total, intervals_expected, days_over"
    assert october(known, columns, "two_parts") == ("ready", total, total, 22 * 24 + 1, 22)
    assert known.rows(
        "select in_service_from, in_service_until from meter_services where site_id = 'two_parts' order by first_day"
    ) == [(None, october_day(10)), (october_day(20), None)]


def test_what_was_known_of_an_open_month_is_of_the_days_that_count(known, house):
    rows = known.rows(
        """select site_id, then_.total, now_.total
        from billing_as_of('2026-11-20 04:00+00') as then_
        inner join billing_monthly as now_ using (site_id, meter_id, billing_month)
        where billing_month = '2026-10-01' and site_id in ('two_parts', 'wrong_day', 'clean', 'half')
            and meter_id = 'm' order by all"""
    )
    assert [row[0] for row in rows] == ["clean", "half", "two_parts", "wrong_day"]
    assert all(then == now is not None for _, then, now in rows)


def test_a_meter_that_is_not_billed_for_days_is_billed_for_the_others(known, house):
    """One line about ten days took the whole month off the bill, without a word."""
    is_billed, grade, total, billable, reasons = october(
        known, "is_billed, grade, total, billable_total, reasons", "half"
    )
    assert (is_billed, grade, total, billable) == (
        True, "ready", house.total("half"), house.total("half", first=11),
    )  # fmt: skip
    assert [reason.partition(":")[0] for reason in reasons] == ["not_billed"]
    assert "10 days with values" in reasons[0]
    ((first, point_total),) = known.rows(
        "select first_day, billable_total from billing_points_monthly where site_id = 'half'"
    )
    assert (first, point_total) == (october_day(11), billable)


def test_a_meter_out_of_service_is_not_billed(known):
    assert october(known, "is_billed, total", "never_billed") == (False, None)


def test_a_day_that_is_excluded_drops_out_and_the_rest_is_graded_and_billable(known, house):
    """One day took all others off the bill; what it held wrong still spoils what the provider makes of it."""
    rest = house.total("wrong_day") - house.total("wrong_day", first=3, last=3)
    row = october(
        known,
        "grade, reasons, total, billable_total, index_advance, index_start, days_excluded, is_excluded, days_over",
        "wrong_day",
    )
    assert row == (
        "ready", ["excluded: 1 of 31 days, a test (Ada)"], rest, rest, rest, 1000, 1, False, 30,
    )  # fmt: skip
    grade, reasons = october(known, "grade, reasons", "wrong_day", "other")
    assert (grade, [reason.partition(":")[0] for reason in reasons]) == ("blocked", ["unsound_sibling"])


def test_other_days_of_a_month_with_an_exclusion_are_graded(known):
    grade, reasons = october(known, "grade, reasons", "other_days")
    assert (grade, [reason.partition(":")[0] for reason in reasons]) == ("blocked", ["excluded", "missing_intervals"])


def test_a_month_is_billed_as_the_meter_was_listed_then(faulty, house):
    """Listed as production on 1 November, the flat dropped out of October's bill, ready and without a word."""
    columns = "meter_mode, meter_role, is_billed, grade, reasons, total, solar"
    total = house.total("later")
    solar = sum((sums.solar for sums in house.days_by_meter["later", "m"].values()), Decimal(0))
    assert october(faulty, columns, "later") == ("consumption", "consumer", True, "ready", [], total, solar)
    assert faulty.rows("select meter_mode from meters where site_id = 'later' and meter_id = 'm'") == [("production",)]


def test_a_meter_whose_mode_changes_inside_a_month_is_billed_for_the_days_of_a_consumer(faulty, house):
    mode, is_billed, total, billable, reasons, warnings = october(
        faulty, "meter_mode, is_billed, total, billable_total, reasons, warnings", "mode"
    )
    assert (mode, is_billed, total, billable) == (
        "consumption", True, house.total("mode"), house.total("mode", last=14),
    )  # fmt: skip
    assert reasons[0].startswith("not_billed: 17 days")
    assert warnings == [
        "mode_changed: listed differently from electricity consumption to electricity introduction, on 2026-10-15"
    ]


@pytest.mark.parametrize(
    ("site", "meter", "days_"), [("two_parts", "m", 9), ("points", "old", 21), ("points", "new", 14)]
)
def test_what_a_meter_delivers_out_of_service_is_told_and_does_not_block(known, site, meter, days_):
    """A date on the second tenant's line alone took the first tenant's days off the bill without a word."""
    told = [f"out_of_service: {days_} days with values other than 0, by meters.csv"]
    assert october(known, "grade, reasons", site, meter) == ("ready", told)


def test_what_a_meter_delivers_out_of_service_is_told_of_a_month_that_has_nothing_else(known):
    assert october(known, "reasons", "never_billed") == (
        [
            "not_in_service: no day of the period, by meters.csv",
            "out_of_service: 31 days with values other than 0, by meters.csv",
        ],
    )
    (reasons,) = within(known, (11, 12), "reasons", "two_parts")
    assert reasons[1:] == ["out_of_service: 2 days with values other than 0, by meters.csv"]


def test_zeros_of_a_meter_that_was_taken_out_are_nothing_to_tell(known, house):
    assert october(known, "grade, reasons, total", "edges", "zeros_after") == (
        "ready", [], house.total("edges", "zeros_after"),
    )  # fmt: skip


EDGES = {
    # meter: (hours that are missing, hours that are null)
    "empty_first": (26, 0),
    "empty_last": (24, 0),
    "null_last": (1, 2),
    "touching": (36, 0),
}


@pytest.mark.parametrize("meter", EDGES)
def test_what_is_missing_on_the_first_and_last_day_of_service_waits_for_a_person(known, meter):
    """Such a day was due from and to its values, so one without any was due nothing, and the month was ready.

    Nulls after the last value were too many besides, and two lives that touch hid the hole between them.
    """
    missing, null = EDGES[meter]
    row = october(known, "grade, reasons, intervals_expected, intervals_missing, intervals_null", "edges", meter)
    assert row[:1] + row[2:] == ("blocked", 745, missing, null)
    codes = [name for name, count in (("missing_intervals", missing), ("null_intervals", null)) if count]
    assert [reason.partition(":")[0] for reason in row[1]] == codes


def test_the_gap_of_a_first_day_of_service_without_values_goes_on_over_midnight(known):
    assert october(known, "longest_gap_minutes", "edges", "empty_first") == (26 * 60,)


def test_the_peak_is_of_a_day_that_counts(known):
    """The first equal peak was that of a day that is excluded."""
    assert october(known, "peak_kw, peak_at_utc", "edges", "peak") == (2, hour(9, 5))


def test_the_flows_of_the_site_count_when_it_states_them_on_every_day_that_counts(known):
    """A day that is excluded stood in for another on which the site's series had failed."""
    assert flows_of(known, "one_day_each", "grid")[::5] == (None, NOT_WHOLE)
    stated = flow_of_site("one_day_each", "grid_import")
    counted_days = [*range(1, 3), *range(4, 20)]
    truth = sum(total for start, total in stated.items() if start.astimezone(ZURICH).day in counted_days)
    flows = within(known, (1, 19), "flow_source, grid_import, grid_export", "one_day_each", "grid")
    assert flows == ("site_intervals", truth, 0)


def test_a_sum_is_blocked_by_a_part_with_a_hole_wherever_that_part_began(faulty):
    """A part whose first value lies inside the month spoilt nothing, whatever it lacked afterwards."""
    grade, reasons = october(faulty, "grade, reasons", "late_part", "sum")
    assert (grade, [reason.partition(":")[0] for reason in reasons]) == ("blocked", ["unsound_sibling"])
    for first, last, grade in [(1, 19, "ready"), (20, 20, "blocked"), (21, 31, "ready")]:
        assert within(faulty, (first, last), "grade", "late_part", "sum") == (grade,), (first, last)


@pytest.mark.parametrize(
    ("site", "meter", "first", "expected"),
    [
        ("silent_part", "sum", 15, ["unsound_sibling"]),
        ("silent_part", "sum", 20, ["unsound_sibling"]),
        ("silent_part", "sum", 21, []),
        ("changed_grid", "m", 15, []),
    ],
)
def test_a_meter_spoils_its_neighbours_while_it_is_listed_and_not_once_it_is_gone(faulty, site, meter, first, expected):
    """A grid connection that was replaced on the 15th blocked every later period of the flats."""
    (reasons,) = within(faulty, (first, 31), "reasons", site, meter)
    assert [reason.partition(":")[0] for reason in reasons] == expected


def test_a_flat_that_came_between_two_lists_is_billed_for_what_it_delivered(faulty, known, house):
    """It was in no list of October but the one before it came: not billed, not told, and the month could be closed."""
    total = house.total("listed_late", "second")
    assert october(faulty, "is_billed, grade, total", "listed_late", "second") == (True, "provisional", total)
    assert october(known, "is_billed, grade, reasons, billable_total", "listed_late", "second") == (
        True, "ready", [], total,
    )  # fmt: skip
    points = known.rows(
        "select billing_point, total from billing_points_monthly where site_id = 'listed_late'"
        " and billing_month = '2026-10-01' order by all"
    )
    assert points == [("first", house.total("listed_late", "first")), ("second", total)]


def test_what_a_point_consumes_and_what_it_produces_are_not_added_up(known, house):
    rows = known.rows(
        "select meter_role, total, meters from billing_points_monthly where billing_point = 'Shop' order by all"
    )
    assert rows == [
        ("consumer", house.total("points", "flat"), 1), ("production", house.total("points", "roof"), 1),
    ]  # fmt: skip


def test_days_between_two_meters_of_a_point_are_told(known, house):
    """A flat with one meter until the 10th and the next from the 15th on was ready without a word."""
    ((grade, total, told),) = known.rows(
        "select grade, billable_total, reasons[-1] from billing_points_monthly where billing_point = 'Flat 7'"
    )
    assert (grade, total) == ("ready", house.total("points", "old", last=10) + house.total("points", "new", first=15))
    assert told == "not_served: 4 days without a meter in service, by meters.csv"
    told = known.rows(
        """select distinct site_id, billing_point from billing_points_monthly
        where len(list_filter(reasons, lambda reason: starts_with(reason, 'not_served'))) > 0 order by all"""
    )
    assert told == [("points", "Flat 7"), ("two_lives", "m"), ("two_parts", "m")]


def test_zero_on_both_sides_of_days_that_nobody_asked_for_is_two_runs(faulty):
    found = faulty.rows(
        """select check_name, local_date, measured from data_quality_daily
        where site_id = 'zero_twice' and check_name[:8] = 'zero_run' order by all"""
    )
    hours = dict.fromkeys(range(1, 5), 96) | dict.fromkeys(range(20, 25), 120)
    assert [(name, day.day, measured) for name, day, measured in found if name == "zero_run"] == [
        ("zero_run", day, measured) for day, measured in hours.items()
    ]
    assert {name for name, *_ in found} == {"zero_run"}


def test_a_tenant_sees_that_the_other_tenants_days_are_graded_with_his(known):
    columns = "billing_point, grade, intervals_expected, intervals_present, reasons[-1]"
    (first, second) = known.rows(
        f"select {columns} from billing_points_monthly where site_id = 'tenants' order by billing_point"
    )
    assert first[:4] == ("Tenant A", "blocked", 336, 336)
    assert "billing_between('2026-10-01', '2026-10-14')" in first[4]
    assert second[:4] == ("Tenant B", "blocked", 409, 406)
    for first_day, last_day, grade in ((1, 14, "ready"), (15, 31, "blocked")):
        assert within(known, (first_day, last_day), "grade", "tenants") == (grade,)


# --- What was ready and should not be, and what was not and should be -------------------------------------------


def codes(reasons: list[str]) -> list[str]:
    return [reason.partition(":")[0] for reason in reasons]


@pytest.mark.parametrize("site", ["cut_month", "cut_outage"])
def test_an_index_that_measured_little_of_a_month_confirms_nothing(known, house, site):
    """Over a replacement, the register counted nothing, as it should, and 657 kWh that were seen once were ready."""
    grade, reasons, unmeasured = october(known, "grade, reasons, index_unmeasured", site)
    assert (grade, codes(reasons)[-1]) == ("provisional", "not_confirmed")
    assert unmeasured > house.total(site) / 4


def test_what_no_register_measured_is_told_where_it_is_much(known, house):
    """A date in meters.csv took out weeks of a meter that is read seldom, without a word."""
    total = plain(house.total("cut_month"))
    (warnings,) = october(known, "warnings", "cut_month")
    assert warnings == [
        f"unmeasured: of {total} kWh the intervals state {total} kWh for a time in which no register counted, around a "
        "replacement"
    ]
    told = known.rows("select site_id from data_quality_monthly where check_name = 'unmeasured' and not passed")
    assert {site for (site,) in told} == {"cut_month", "cut_outage", "cut_spike"}


def test_the_days_that_count_cannot_hold_more_than_the_register_counted_of_all(known, house):
    """One day that was excluded switched the index off, where it is read at the month's bounds alone."""
    grade, reasons, total = october(known, "grade, reasons, total", "one_day_off")
    assert (grade, codes(reasons)) == ("blocked", ["excluded", "index_difference"])
    assert total == house.total("one_day_off") - house.total("one_day_off", first=20, last=20)
    assert october(known, "grade", "another_day_off") == ("ready",)


def test_what_a_register_counted_before_the_first_value_of_its_first_day_waits_for_a_person(known, house):
    """Ten hours of a new meter were on no bill: its first day is due from its first value on."""
    grade, reasons, apart = (
        october(known, "grade, reasons", "used_at_once")
        + known.rows("select counted_before_values from meter_month_measures where site_id = 'used_at_once'")[0]
    )
    lost = sum(total for start, total in ordinary("used_at_once", hour(15, 10)).items() if start < hour(15, 20))
    assert (grade, codes(reasons)) == ("blocked", ["index_difference"])
    assert apart == lost - max(house.stated["used_at_once", "m"].values())
    assert october(known, "grade, reasons", "used_later") == ("ready", [])


def test_what_a_register_counted_between_two_lives_is_of_neither(known, house):
    """It was taken for a difference between intervals and index, and the month was blocked."""
    total = house.total("two_lives", last=10) + house.total("two_lives", first=20)
    assert october(known, "grade, total, index_advance", "two_lives") == ("ready", total, total)


@pytest.mark.parametrize(
    ("site", "meter", "expected"),
    [
        ("site_off", "m", ["excluded"]),
        ("site_off", "other", ["excluded"]),
        ("meter_off", "m", ["excluded"]),
        ("meter_off", "other", ["site_balance"]),
    ],
)
def test_a_day_that_is_excluded_takes_what_is_wrong_with_the_site_along(faulty, known, site, meter, expected):
    """The series of the site did not add up on that day, and it went on blocking the others."""
    assert codes(october(faulty, "reasons", site, meter)[0]) == ["site_balance"]
    assert codes(october(known, "reasons", site, meter)[0]) == expected
    assert codes(*within(known, (19, 20), "reasons", site, meter)) == expected


def test_days_of_two_kinds_are_not_added_up_unless_somebody_accepts_it(faulty, known, house):
    """m3 and kWh made one total; a meter that became a consumer was ready, or stopped the build, with half a split."""
    assert october(known, "grade, billable_total", "unbilled_to_consumer") == ("blocked", None)
    assert october(known, "grade, billable_total", "retyped_back") == ("ready", house.total("retyped_back"))
    billed, solar, grid = october(faulty, "billable_total, billable_solar, billable_grid", "billed_from_15")
    assert billed == solar + grid == house.total("billed_from_15", first=15)
    for site in ("retyped", "rule_to_consumer"):
        for first, last, grade in ((1, 14, "ready"), (15, 31, "ready"), (14, 15, "blocked")):
            assert within(faulty, (first, last), "grade", site) == (grade,)


def test_the_data_tell_the_step_where_there_are_some(known, house):
    """A line for hours made a quarter of a meter's quarter-hours a whole month, and blocked one whose step changed."""
    assert october(known, "grade, intervals_expected, intervals_missing", "quarters") == ("blocked", 4 * 745, 3 * 745)
    expected = 14 * 24 + (17 * 24 + 1) * 4
    assert october(known, "grade, intervals_expected, total", "hours_from_15") == (
        "ready", expected, house.total("hours_from_15"),
    )  # fmt: skip


NOT_CONFIRMED = "the series of the site is not confirmed, and the registers were not read at both bounds"
APART = "the series of the site and the registers state different flows"


@pytest.mark.parametrize(
    ("site", "reason"),
    [("asked_early", None), ("asked_early_unread", NOT_CONFIRMED), ("told_twice", APART), ("read_on_15th", NOT_WHOLE)],
)
def test_flows_are_given_when_they_are_settled_and_no_other_source_says_otherwise(faulty, house, site, reason):
    """A site's series of the month's last night, and registers that were read on the 15th, were taken for the flows."""
    drawn = house.total(site, "grid")
    known_flows = ("register", drawn, drawn * 3) if reason is None else (None, None, None)
    assert flows_of(faulty, site, "grid") == (*known_flows, None, None, reason)


def test_a_balance_states_what_its_meters_and_its_own_series_add_up_to(faulty, house):
    """Rates were asserted nowhere: below 0 under snow, 2 with a battery, and one of a production of nothing."""
    rows = faulty.rows(
        """select site_id, self_consumption_rate, autonomy_rate, meters, meters_total, meters_difference
        from site_balance_monthly where site_id in ? and meter_type = 'electricity'""",
        [tuple(RATED)],
    )
    assert {row[0] for row in rows} == set(RATED)
    for site, self_consumption_rate, autonomy_rate, meters, total, difference in rows:
        flat, car = (house.stated[site, meter] for meter in ("m", "car"))
        stated = [RATED[site](start, flat[start] + car[start] + 1) for start in flat]
        used, made, own = (float(sum(column)) for column in zip(*stated, strict=True))
        assert (meters, total, difference) == (2, sum(flat.values()) + sum(car.values()), len(flat)), site
        # What 1.5 Wh of each quarter-hour add up to is no production.
        means_something = 0 <= own <= made and made > 0.0015 * 4 * len(flat)
        assert self_consumption_rate == (pytest.approx(own / made) if means_something else None), site
        assert autonomy_rate == (pytest.approx(own / used) if own >= 0 else None), site
    assert [row[0] for row in rows if row[1] is not None] == ["rates"]


# --- Any period ----------------------------------------------------------------------------------------------------


def test_any_period_of_local_days_has_its_own_sum_index_and_grade(faulty, house):
    columns = "total, index_advance, index_start, grade, period_first_day, period_last_day, intervals_expected"
    total, advance, start, grade, first, last, expected = within(faulty, (5, 20), columns, "clean")
    stated = house.total("clean", first=5, last=20)
    assert (total, advance, start) == (stated, stated, 1000 + house.total("clean", last=4))
    assert (first, last, expected) == (date(2026, 10, 5), date(2026, 10, 20), 16 * 24)
    assert grade == "ready"


def test_a_fault_counts_in_the_periods_that_hold_it_and_in_no_other(faulty):
    for first, last, grade in [(1, 6, "ready"), (7, 7, "blocked"), (8, 20, "blocked"), (9, 31, "ready")]:
        assert within(faulty, (first, last), "grade", "gap") == (grade,)


@pytest.mark.parametrize("month", [date(2024, 2, 1), date(2024, 3, 1), date(2024, 10, 1), date(2025, 10, 1), MONTH])
def test_a_month_asked_for_as_a_period_is_the_month(faulty, month):
    """One SQL for both: every column is the same; only a month has a last year, and a total that is stated."""
    of_both = (
        "list_filter(warnings, lambda warning: not starts_with(warning, 'far_from_last_year')"
        " and not starts_with(warning, 'stated_month'))"
    )
    monthly = faulty.rows(
        f"""select * replace ({of_both} as warnings) from billing_monthly
        where billing_month = ? order by site_id, meter_id""",
        [month],
    )
    period = faulty.period(month, next_month(month) - timedelta(days=1))
    assert monthly
    assert monthly == [tuple(period[meter].values()) for meter in sorted(period)]


@pytest.fixture(scope="module")
def judged(faulty, tmp_path_factory) -> duckdb.DuckDBPyConnection:
    """The same warehouse, whose data_quality_monthly is filled at will."""
    path = tmp_path_factory.mktemp("judged") / "warehouse.duckdb"
    shutil.copy(faulty.layout.warehouse, path)
    with duckdb.connect(path) as connection:
        connection.execute("set timezone = 'UTC'")
        yield connection


LEAP_MONTHS = (date(2024, 2, 1), date(2024, 4, 30))
IN_MARCH = "in 2024-03, the month says otherwise"


@pytest.mark.parametrize(
    ("period", "row", "reason"),
    [
        (LEAP_MONTHS, ("changed_after_closing", "m", "blocks", ""), IN_MARCH),
        (LEAP_MONTHS, ("index_difference", "m", "blocks", ""), IN_MARCH),
        (LEAP_MONTHS, ("site_sum", None, "blocks", ""), IN_MARCH),
        (LEAP_MONTHS, ("unsound_sibling", "m", "blocks", ""), IN_MARCH),
        ((date(2024, 3, 1), date(2024, 4, 1)), ("index_difference", "m", "blocks", ""), IN_MARCH),
        ((date(2024, 3, 1), date(2024, 3, 31)), ("site_sum", None, "blocks", ""), "the month says otherwise"),
        # Of a month that lies in the period with a part alone, the period's own days tell.
        ((date(2024, 3, 2), date(2024, 4, 30)), ("changed_after_closing", "m", "blocks", ""), None),
        ((date(2024, 1, 1), date(2024, 3, 30)), ("index_difference", "m", "blocks", ""), None),
        ((date(2024, 1, 1), date(2024, 2, 29)), ("site_sum", None, "blocks", ""), None),
        (LEAP_MONTHS, ("changed_after_closing", "another", "blocks", ""), None),
        (LEAP_MONTHS, ("site_sum", None, "warns", ""), None),
        (LEAP_MONTHS, ("index_difference", "m", "blocks", "is_accepted"), None),
        (LEAP_MONTHS, ("index_difference", "m", "blocks", "passed"), None),
        (LEAP_MONTHS, ("index_difference", "m", "blocks", "is_excluded"), None),
        (LEAP_MONTHS, ("changed_after_closing", "m", "blocks", "is_excluded"), IN_MARCH),
    ],
)  # fmt: skip
def test_a_period_is_not_ready_while_a_month_in_it_is_blocked(judged, period, row, reason):
    """A quarter was billed that held a closed month with another quantity, or one that its register contradicts."""
    check, meter, severity, but = row
    judged.execute("delete from data_quality_monthly")
    judged.execute(
        """insert into data_quality_monthly by name select ? as check_name, 'leap_zurich' as site_id, ? as meter_id,
            date '2024-03-01' as billing_month, ? as severity, 1 as measured, 0 as tolerance, ? as passed,
            ? as is_accepted, ? as reason_code, 'the month says otherwise' as reason""",
        [check, meter, severity, but == "passed", but == "is_accepted", check],
    )
    judged.execute(
        """update meter_month_measures set is_excluded = ?
        where site_id = 'leap_zurich' and period_from = '2024-03-01'""",
        [but == "is_excluded"],
    )
    found = judged.execute(
        "select grade, reasons, billable_total is null from billing_between(?, ?) where site_id = 'leap_zurich'", period
    ).fetchall()
    assert found == [("blocked", [f"{check}: {reason}"], True) if reason else ("ready", [], False)]


def test_a_closed_month_that_changed_blocks_every_period_that_holds_it(known):
    """What was closed is compared by months, and no period ever said so."""
    ((monthly,),) = known.rows(
        "select reasons from billing_monthly where site_id = 'steady' and billing_month = '2026-10-01'"
    )
    periods = {
        ("2026-10-01", "2026-10-31"): monthly[:1],
        ("2026-09-30", "2026-10-31"): [monthly[0].replace("closing: ", "closing: in 2026-10, ")],
        ("2026-10-02", "2026-10-31"): [],
    }
    for period, expected in periods.items():
        row = known.period(*map(date.fromisoformat, period))["steady", "m"]
        grade, reasons = row["grade"], row["reasons"]
        assert [reason for reason in reasons if reason.startswith("changed_after_closing")] == expected
        assert (grade == "ready") is (expected == [])


ADDED_UP = (
    "total", "solar", "grid", "intervals_expected", "intervals_present", "intervals_missing", "intervals_null",
    "intervals_negative", "intervals_revised", "intervals_without_split", "days_over", "days_asked", "index_unmeasured",
)  # fmt: skip
FLOWS = ("grid_import", "grid_export", "storage_charge", "storage_discharge")
OTHERS = (
    "index_advance", "export_index_advance", "flow_source", "peak_kw", "peak_at_utc", "longest_gap_minutes", "warnings",
)  # fmt: skip


def sum_of(rows: list[dict], name: str) -> Decimal | int | None:
    """The sum of what is there, None where nothing is."""
    return reduce(added, [row[name] for row in rows], None)


QUARTERS = [
    (date(2024, 1, 15), date(2024, 3, 31)), (date(2024, 4, 1), date(2024, 6, 30)),
    (date(2024, 7, 1), date(2024, 9, 30)), (date(2024, 10, 1), date(2024, 11, 5)),
]  # fmt: skip
"""Of a heating year."""


@st.composite
def cut_ranges(draw) -> list[tuple[date, date]]:
    """Consecutive pieces of a range of days of the lake, and the days around it."""
    around = draw(st.sampled_from([(date(2023, 12, 25), date(2025, 1, 5)), (date(2025, 9, 25), date(2026, 11, 5)),
                                   (date(2026, 9, 29), date(2026, 11, 2))]))  # fmt: skip
    first, *cuts, last = sorted(draw(st.sets(st.dates(*around), min_size=3, max_size=5)))
    starts = [first, *cuts]
    return list(zip(starts, [*(cut - timedelta(days=1) for cut in cuts), last], strict=True))


def test_the_pieces_of_any_range_add_up_to_it_and_to_what_was_stated(faulty, house):
    """Decimals, counts and advances of every meter of the lake, whatever is wrong with it; the sums are Python's."""

    # Inside, because hypothesis writes out every argument at every example, and a lake is long.
    # Each period that no other test has asked for costs a second.
    @settings(max_examples=2, deadline=None)
    @example(QUARTERS)
    @example([(date(2026, 10, day), date(2026, 10, day)) for day in (11, 12, 13)])  # the replacements, day by day
    @example([(date(2026, 10, 1), date(2026, 10, 14)), (date(2026, 10, 15), date(2026, 10, 31))])  # the exchange
    @given(cut_ranges())
    def law(pieces):
        first, last = pieces[0][0], pieces[-1][1]
        whole, *parts = (faulty.period(*days) for days in [(first, last), *pieces])
        assert {meter for part in parts for meter in part} == set(whole)
        for meter, row in whole.items():
            mine = [part[meter] for part in parts if meter in part]
            # Of a piece without any month of the meter there is no row, and nobody asked for its days.
            unasked = [
                house.unasked(meter, *piece) for piece, part in zip(pieces, parts, strict=True) if meter not in part
            ]
            for name in ADDED_UP:
                assert row[name] == sum_of([*mine, *(other for other in unasked if name in other)], name), (meter, name)
            assert row["days_over"] == len(house.over(meter[0], first, last)), meter
            for name in ("index_advance", "export_index_advance"):
                if not unasked and all(part[name] is not None for part in mine):
                    assert row[name] == sum_of(mine, name), (meter, name)
            if {part["flow_source"] for part in mine} == {row["flow_source"]}:
                assert [row[name] for name in FLOWS] == [sum_of(mine, name) for name in FLOWS], meter
            peaks = [(-part["peak_kw"], part["peak_at_utc"]) for part in mine if part["peak_kw"] is not None]
            # Whether an interval beside an empty one is a meter's habit is a matter of all days of the period.
            is_lone = any(each.startswith("lone_peak:") for part in (row, *mine) for each in part["warnings"])
            if peaks and meter[0] not in TWO_UNITS and not is_lone:
                assert (-row["peak_kw"], row["peak_at_utc"]) == min(peaks), meter
            assert row["longest_gap_minutes"] >= max(part["longest_gap_minutes"] for part in mine), meter

            of_days = (sums for day, sums in house.days_by_meter.get(meter, {}).items() if first <= day <= last)
            truth = sum(of_days, DaySums())
            assert (row["total"], row["intervals_present"], row["intervals_null"]) == (
                truth.total, truth.present, truth.null,
            ), meter  # fmt: skip
            if house.has_split(meter, first, last):
                assert (row["solar"], row["grid"]) == (truth.solar, truth.grid), meter
            else:
                assert (row["solar"], row["grid"]) == (None, None), meter

    law()


@pytest.mark.parametrize(("first", "last"), [(1, 6), (7, 7), (11, 11), (12, 12), (8, 20), (15, 31), (21, 31)])
def test_an_advance_over_any_days_is_what_was_stated_on_them(faulty, house, first, last):
    """So that no piece of the law above holds only because the advance is null."""
    for site in ("clean", "rollover", "swapped", "glitch"):
        assert within(faulty, (first, last), "index_advance", site) == (house.total(site, first=first, last=last),), (
            site
        )


def quantities_of(rows: list[tuple]) -> tuple[Decimal, ...]:
    """Totals, grid parts, advances and counts of rows, each added up."""
    return tuple(sum(column) for column in zip(*rows, strict=True))


QUANTITIES = "total, grid, billable_total, index_advance, intervals_expected, intervals_present, days_over"


def quantities_between(built: Built, site: str, first: date, last: date) -> tuple[Decimal, ...]:
    """The same of any days."""
    row = built.period(first, last)[site, "m"]
    return tuple(row[name] for name in QUANTITIES.split(", "))


@pytest.mark.parametrize("site", LEAP_ZONES)
def test_the_months_of_a_year_add_up_to_the_year(faulty, house, site):
    """In decimals, with a leap day, and both clock changes in one of the zones."""
    months = faulty.rows(f"select {QUANTITIES} from billing_monthly where site_id = ?", [site])
    year = quantities_between(faulty, site, date(2024, 1, 1), date(2024, 12, 31))
    stated = sum(house.stated[site, "m"].values())
    assert len(months) == 12
    assert quantities_of(months) == year == (stated, stated, stated, stated, 366 * 24, 366 * 24, 366)


@pytest.mark.parametrize("site", LEAP_ZONES)
def test_a_heating_year_is_made_of_its_quarters_and_of_its_days(faulty, house, site):
    quarters = [quantities_between(faulty, site, *quarter) for quarter in QUARTERS]
    whole = quantities_between(faulty, site, QUARTERS[0][0], QUARTERS[-1][1])
    zone = LEAP_ZONES[site]
    stated = sum(
        total
        for start, total in house.stated[site, "m"].items()
        if date(2024, 1, 15) <= start.astimezone(zone).date() <= date(2024, 11, 5)
    )
    assert quantities_of(quarters) == whole
    assert whole[0] == stated


@pytest.mark.parametrize("site", LEAP_ZONES)
def test_a_months_closing_index_is_the_next_months_opening_index(faulty, house, site):
    rows = faulty.rows(
        """select billing_month, index_start, index_start_at_utc, index_end, index_end_at_utc
        from billing_monthly where site_id = ? order by billing_month""",
        [site],
    )
    index = Decimal(0)
    for number, (month, start, start_at, end, end_at) in enumerate(rows):
        assert start == index
        index += sum(
            total
            for begin, total in house.stated[site, "m"].items()
            if begin.astimezone(LEAP_ZONES[site]).date().replace(day=1) == month
        )
        assert end == index
        if number:
            assert (start, start_at) == rows[number - 1][3:]
        assert start_at < end_at


def test_a_period_beyond_what_was_asked_for_waits(faulty):
    row = faulty.period(date(2026, 10, 1), date(2027, 3, 31))["clean", "m"]
    assert row["grade"] == "provisional"
    assert "running: the period had not ended at the last call" in row["reasons"]
    assert row["total"] is not None


@dataclass(frozen=True)
class Unasked:
    first: date
    last: date
    days: int
    intervals: int
    present: int


UNASKED = {
    # A year with both clock changes, and the October that was asked for.
    "clean": Unasked(date(2025, 10, 1), date(2026, 10, 31), 365, 365 * 24, 745),
    "load_curve": Unasked(date(2026, 10, 1), date(2026, 11, 15), 15, 15 * 24, 745),
    "pause": Unasked(date(2026, 9, 1), date(2026, 10, 31), 27, 27 * 24, 72 + 745),
    "five_times": Unasked(date(2025, 10, 1), date(2026, 10, 31), 334, 334, 62),
    "created": Unasked(date(2026, 9, 1), date(2026, 11, 10), 10, 240, 22 * 24 + 1),
}


@pytest.mark.parametrize("site", UNASKED)
def test_days_that_nobody_asked_for_are_told_and_expected(faulty, site):
    """A heating year of which only October was ever fetched was ready, complete, and billed with that month."""
    asked = UNASKED[site]
    row = faulty.period(asked.first, asked.last)[site, "m"]
    found, expected = row["intervals_present"], row["intervals_expected"]
    assert (row["grade"], row["billable_total"], found, expected) == (
        "provisional", None, asked.present, asked.present + asked.intervals,
    )  # fmt: skip
    assert row["completeness"] == pytest.approx(found / expected)
    assert any(reason.startswith(f"not_fetched: {asked.days} of ") for reason in row["reasons"])


def test_days_out_of_service_are_not_expected_of_any_period(known, house):
    def columns(first: date, last: date, *names: str) -> list[tuple]:
        period = known.period(first, last)
        return [(meter, *map(row.get, names)) for (site, meter), row in sorted(period.items()) if site == EXAMPLE_SITE]

    assert columns(date(2026, 4, 1), date(2026, 6, 30), "grade", "total", "days_over") == [
        (meter, "ready", sum(house.stated[EXAMPLE_SITE, meter].values()), (last - first).days + 1)
        for meter, (first, last) in EXAMPLE_LIVES.items()
    ]
    rows = columns(date(2026, 3, 1), date(2026, 8, 31), "days_over", "days_asked")
    assert rows == [("m-101", 31 + 30 + 11, 30 + 11), ("m-187", 20 + 30 + 62, 20 + 30)]


@pytest.mark.parametrize(
    ("first", "last"), [("2026-10-31", "2026-10-01"), ("2026-10-02", "2026-10-01"), ("2019-01-01", "2019-12-31")]
)
def test_a_period_without_days_has_no_row(faulty, first, last):
    """A reversed period was ready."""
    assert faulty.period(date.fromisoformat(first), date.fromisoformat(last)) == {}


def test_a_period_before_the_site_was_created_has_no_row(faulty):
    period = faulty.period(october_day(1), october_day(9))
    assert ("created", "m") not in period
    assert ("clean", "m") in period


def test_a_period_begins_with_the_first_of_two_midnights():
    """Where clocks go back over midnight, the period began an hour after its first day."""
    zones = {"America/Havana": date(2026, 11, 1), "Atlantic/Azores": date(2026, 10, 25), "Europe/Zurich": OCTOBER[24]}
    sql = rendered("select {{ day_start_utc('day', 'zone') }} from pairs")
    with duckdb.connect() as connection:
        connection.execute("set timezone = 'UTC'")
        connection.execute("create table pairs (day date, zone text)")
        connection.executemany("insert into pairs values (?, ?)", [(day, zone) for zone, day in zones.items()])
        found = [start for (start,) in connection.execute(sql).fetchall()]
    assert found == [
        datetime.combine(day, time.min, tzinfo=ZoneInfo(zone)).astimezone(UTC) for zone, day in zones.items()
    ]


# --- Lines per occupant --------------------------------------------------------------------------------------------


def october_lines(faulty: Built, site: str) -> list[tuple]:
    return faulty.rows(
        "select occupant, is_vacant, day(line_from), day(line_until), total from billing_lines_monthly"
        " where site_id = ? and billing_month = '2026-10-01' order by line_from",
        [site],
    )


def test_a_month_is_cut_where_an_occupant_comes_or_goes_and_what_is_empty_is_the_owners(faulty, house):
    total = house.total
    assert october_lines(faulty, "null_value") == [
        ("Ada", False, 1, 14, total("null_value", last=14)), ("Bob", False, 15, 31, total("null_value", first=15)),
    ]  # fmt: skip
    assert october_lines(faulty, "clean") == [
        (None, True, 1, 4, total("clean", last=4)), ("Ada", False, 5, 20, total("clean", first=5, last=20)),
        (None, True, 21, 31, total("clean", first=21)),
    ]  # fmt: skip
    assert october_lines(faulty, "rollover") == [("Ada", False, 1, 31, total("rollover"))]
    assert october_lines(faulty, "glitch") == [
        ("Ada", False, 1, 19, total("glitch", last=19)), ("Bob", False, 20, 31, total("glitch", first=20)),
    ]  # fmt: skip
    assert october_lines(faulty, "swapped") == [(None, False, 1, 31, total("swapped"))]


def test_a_fault_is_of_the_occupant_on_whose_days_it_is(faulty, house):
    rows = faulty.rows(
        "select occupant, grade, reasons, billable_total from billing_lines_monthly"
        " where site_id = 'null_value' and billing_month = '2026-10-01' order by line_from"
    )
    assert october(faulty, "grade", "null_value") == ("blocked",)
    assert [row[:2] for row in rows] == [("Ada", "blocked"), ("Bob", "ready")]
    assert [reason.partition(":")[0] for reason in rows[0][2]] == ["null_intervals"]
    assert rows[1][2:] == ([], house.total("null_value", first=15))
    assert rows[0][3] is None


LINE_SUMS = "sum(total), sum(solar), sum(grid), sum(intervals_expected), sum(intervals_present)"


def test_the_lines_of_a_meter_add_up_to_what_of_its_month_is_billed(faulty):
    """Of every meter of the lake, whatever is wrong with it; what is added up is added up by Python."""
    lines: dict[tuple, list[tuple]] = defaultdict(list)
    for site, meter, month, *quantities in faulty.rows(
        "select site_id, meter_id, billing_month, total, solar, grid from billing_lines_monthly"
    ):
        lines[site, meter, month].append(quantities)
    bills = faulty.rows(
        "select site_id, meter_id, billing_month, billed_total, billed_solar, billed_grid from billing_monthly"
        " where is_billed and not is_excluded"
    )
    assert len(bills) > 100
    for site, meter, month, *billed in bills:
        mine = lines.pop((site, meter, month))
        assert billed == [
            None if all(value is None for value in column) else sum(value for value in column if value is not None)
            for column in zip(*mine, strict=True)
        ], (site, meter, month)
    assert lines == {}


def test_one_line_ends_with_the_index_that_the_next_begins_with(faulty, house):
    rows = faulty.rows(
        "select index_start, index_end, total from billing_lines_monthly"
        " where site_id = 'clean' and billing_month = '2026-10-01' order by line_from"
    )
    assert [row[0] for row in rows[1:]] == [row[1] for row in rows[:-1]]
    assert [end - start for start, end, _ in rows] == [total for *_, total in rows]
    month = october(faulty, "index_start, index_end", "clean")
    assert (rows[0][0], rows[-1][1]) == month


@pytest.mark.parametrize(("first", "last"), [(1, 31), (3, 7), (14, 15), (20, 20)])
def test_lines_of_any_days_are_those_of_the_month_and_grade_their_own_days(faulty, house, first, last):
    rows = faulty.rows(
        "select site_id, occupant, day(line_from), day(line_until), total, grade from billing_lines(?, ?)"
        " where site_id in ('clean', 'null_value') order by site_id, line_from",
        [october_day(first), october_day(last)],
    )
    stretches = [("clean", None, 1, 4), ("clean", "Ada", 5, 20), ("clean", None, 21, 31),
                 ("null_value", "Ada", 1, 14), ("null_value", "Bob", 15, 31)]  # fmt: skip
    expected = []
    for site, occupant, line_from, line_until in stretches:
        begins, ends = max(line_from, first), min(line_until, last)
        if begins <= ends:
            grade = "blocked" if site == "null_value" and begins <= 8 <= ends else "ready"
            expected.append((site, occupant, begins, ends, house.total(site, first=begins, last=ends), grade))
    assert rows == expected


def test_lines_that_name_nothing_or_one_point_twice_and_empty_flats_are_told(faulty):
    names = COLUMNS["occupancies"].split(", ")
    entries = [
        Entry(number, Occupancy.model_validate(dict(zip(names, row, strict=True))))
        for number, row in enumerate(OCCUPANCIES, 2)
    ]
    told = doubtful_occupancies(entries, faulty.layout.warehouse)
    assert [line.partition(":")[0] for line in told] == [
        "occupancies.csv, line 8", "occupancies.csv, line 9", "occupancies.csv, line 7", "occupancies.csv",
        "occupancies.csv",
    ]  # fmt: skip
    # Ada left on the 20th, and the meter goes on; the one that Bob left on the last day has no later values.
    assert told[3].endswith("from 2026-10-21 on, and what it uses is still measured: these days are the owner's")
    assert told[4].endswith("from 2026-10-11 to 2026-10-12: these days are the owner's")
    assert "no billing point or meter 'nosuch' is known at 'clean'" in told[1]
    assert told[2].endswith("names the billing point of line 6, too, which ends on 2026-10-25: from 2026-10-20 on, "
                            "line 7 counts")  # fmt: skip


def test_every_reason_of_every_fault_is_said_in_every_language(faulty):
    """What a template does not fit would stay in English on a German bill."""
    found = faulty.rows("""
        select distinct unnest(reasons || warnings) from billing_monthly
        union select distinct unnest(reasons || warnings) from billing_lines_monthly order by all
    """)
    assert len({reason.partition(":")[0] for (reason,) in found}) > 40
    for (reason,) in found:
        assert Words("en").reason(reason) == reason.partition(": ")[2]
        for language in ("de", "fr", "it"):
            assert Words(language).reason(reason) != reason.partition(": ")[2], reason


def test_every_line_that_is_held_up_has_something_that_frees_it(faulty):
    """And nothing stands there that holds up no line."""
    todo = read_todo(faulty.layout.warehouse, MONTH)
    assert len(todo.lines) > 50
    assert set().union(*(entry.lines for entry in todo.entries)) == set(range(len(todo.lines)))
    assert all(entry.lines and entry.failures for entry in todo.entries)
    advice = [way for entry in todo.entries for failure in entry.kinds for way in failure.advice("Rue 1")]
    assert all(advice)
    assert len(todo.entries) < len(todo.lines)
    again = read_todo(faulty.layout.warehouse, MONTH)
    assert [entry.failures for entry in again.entries] == [entry.failures for entry in todo.entries]


@pytest.mark.parametrize(
    ("site", "is_told"),
    [("replaced_unseen", True), ("replaced_at_night", True), ("fall", False), ("replaced_early", False)],
)
def test_a_date_of_an_exchange_that_no_register_shows_is_told(known, site, is_told):
    """A slip of the pen in replaced_at cut the register on the wrong day, in silence."""
    at = {"replaced_unseen": CUT, "replaced_at_night": CUT_UNSEEN}.get(site, CUT).astimezone(ZURICH)
    warnings = [warning for warning in october(known, "warnings", site)[0] if warning.startswith("exchange_unseen")]
    told = f"meters.csv dates an exchange that no register shows ({at:%Y-%m-%d %H:%M})"
    assert warnings == [f"exchange_unseen: {told}; look at replaced_at"] * is_told
