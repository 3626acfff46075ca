"""Every fault raises its checks and no other, what only looks like one raises none, and the grade follows from them."""

from __future__ import annotations

import shutil
from datetime import date, timedelta
from decimal import Decimal

import pytest
from built_warehouse import Built, build_with
from fault_lake import CLOSING, CUT, HOUR, LEAP_ZONES, MONTH, OPENING, FaultLake, build_fault_lake, hour

from climkit_pipeline.lake.layout import Layout


@pytest.fixture(scope="module")
def house() -> FaultLake:
    return build_fault_lake()


@pytest.fixture(scope="module")
def faulty(house, tmp_path_factory) -> Built:
    layout = Layout(tmp_path_factory.mktemp("faults"))
    house.lake.write(layout)
    return Built(layout, house.lake, build_with(layout))


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
    "estimated": ("ready_with_estimates", set(), {"estimated"}),
    "wrong_unit": ("blocked", {"wrong_unit", "index_difference"}, set()),
    "created": ("ready", set(), set()),
    "gap": ("blocked", {"missing_intervals"}, set()),
    "changed_clock": ("blocked", {"missing_intervals", "change_day_counts"}, set()),
    "overlap": ("blocked", {"too_many_intervals", "off_grid"}, set()),
    "stuck": ("blocked", {"index_difference"}, {"stuck"}),
    "steady": ("ready", set(), set()),
    "sentinel": ("blocked", {"sentinel", "index_difference"}, set()),
    "spike": ("ready", set(), {"spike"}),
    "negative": ("ready", set(), {"negative"}),
    "null_value": ("blocked", {"null_intervals"}, set()),
    "night": ("ready", set(), {"night_production"}),
    "empty_flat": ("ready", set(), set()),
    "warm": ("ready", set(), set()),
    "zeros": ("blocked", {"zero_run_unread", "index_difference"}, {"zero_run"}),
    "starts": ("provisional", {"starts_inside", "missing_intervals"}, set()),
    "ends": ("provisional", {"ends_inside", "missing_intervals"}, set()),
    "vanished": ("provisional", {"not_fetched", "ends_inside"}, set()),
    "silent": ("blocked", {"no_data", "missing_intervals"}, set()),
    "once": ("provisional", {"not_confirmed"}, set()),
    "unbalanced": ("blocked", {"site_balance"}, {"site_sum"}),
}


@pytest.mark.parametrize("site", EXPECTED)
def test_each_case_raises_its_checks_and_no_other(faulty, site):
    ((grade, reasons, warnings),) = faulty.rows(
        "select grade, reasons, warnings from billing_monthly where site_id = ? and billing_month = ?", [site, MONTH]
    )
    codes = {reason.partition(":")[0] for reason in reasons} - {"estimated"}
    assert (grade, codes, {warning.partition(":")[0] for warning in warnings}) == EXPECTED[site]


def october(built: Built, columns: str, site: str, meter: str = "m") -> tuple:
    (row,) = built.rows(
        f"select {columns} from billing_monthly where (site_id, meter_id, billing_month) = (?, ?, ?)",
        [site, meter, MONTH],
    )
    return row


@pytest.mark.parametrize("site", ["clean", "rollover", "swapped", "exchanged", "glitch", "created"])
def test_the_advance_is_what_was_counted_over_every_cut_that_is_understood(faulty, house, site):
    advance, difference, unmeasured = october(faulty, "index_advance, index_difference, index_unmeasured", site)
    lost = house.stated[site, "m"][hour(15, 0)] if site == "exchanged" else 0
    assert advance == house.total(site) - lost
    assert (difference, unmeasured) == (lost, lost)


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


def test_consumers_of_a_site_with_unequal_solar_shares_are_warned_about(faulty):
    for meter in ("a", "b"):
        grade, warnings = october(faulty, "grade, warnings", "unequal", meter)
        assert (grade, [warning.partition(":")[0] for warning in warnings]) == ("ready", ["equal_autonomy"])


def test_every_reason_is_a_failed_row_of_the_checks(faulty):
    """The grade comes from rows, so the rows must hold every reason, and no failed one may be lost."""
    said = faulty.rows("select site_id, meter_id, unnest(reasons || warnings) from billing_monthly")
    rows = faulty.rows(
        """select distinct site_id, coalesce(meter_id, 'm'), reason_code || ': ' || reason from data_quality_monthly
        where not passed and check_name <> 'not_confirmed'"""
    )
    assert {row for row in said if "not_confirmed" not in row[2]} == set(rows)


def test_failed_days_of_the_quality_tables_are_the_faulty_ones(faulty):
    found = faulty.rows("select site_id, local_date from data_quality_daily where check_name = 'missing_intervals'")
    days = {site: {day.day for name, day in found if name == site} for site, _ in found}
    assert days["gap"] == {7, 8}
    assert days["changed_clock"] == {25}
    assert days["silent"] == set(range(1, 32))
    assert "clean" not in days


def test_every_check_has_its_tolerance_and_reason_in_one_place(faulty):
    rows = faulty.rows("select check_name, severity, why, is_overridden from data_quality_checks")
    assert len(rows) == len({row[0] for row in rows}) > 35
    assert {row[1] for row in rows} == {"waits", "blocks", "warns"}
    assert all(len(row[2]) > 15 and not row[3] for row in rows)
    used = {row[0] for row in faulty.rows("select distinct check_name from data_quality_monthly")}
    assert used <= {row[0] for row in rows}


# --- What the user knows -------------------------------------------------------------------------------------------

ALWAYS = (date(1900, 1, 1), date(9999, 12, 31))


def fact(site: str, meter: str = "m", **known: object) -> tuple:
    row = dict.fromkeys(
        ("register_map", "resolution", "installed_on", "replaced_at_utc", "in_service_from", "in_service_until",
         "billing_point", "is_billed", "interval_minutes", "note")
    )  # fmt: skip
    return (site, meter, *ALWAYS, *{**row, **known}.values())


FACTS = [
    fact("fall", replaced_at_utc=CUT + timedelta(minutes=20)),
    fact("starts", in_service_from=date(2026, 10, 9)),
    fact("ends", in_service_until=date(2026, 10, 20)),
    fact("moved", "old", in_service_until=date(2026, 10, 14), billing_point="Flat 1"),
    fact("moved", "new", in_service_from=date(2026, 10, 15), billing_point="Flat 1"),
    fact("swapped", register_map="swapped"),
]
DECISIONS = [
    ("missing_intervals", "gap", "m", date(2026, 10, 7), date(2026, 10, 8), "accept", "Ada", "read by hand"),
    ("missing_intervals", "changed_clock", None, date(2026, 10, 1), date(2026, 10, 31), "accept", "Ada", "known"),
    ("index_difference", "stuck", "m", date(2026, 10, 5), date(2026, 10, 10), "accept", "Ada", "too short a stretch"),
    ("not_confirmed", "once", "m", date(2026, 10, 1), date(2026, 10, 31), "accept", "Ada", "nobody can ask again"),
    ("empty", "clean", "m", date(2026, 10, 1), date(2026, 10, 31), "exclude", "Bob", "paid by the owner"),
]
CLOSED = [
    ("steady", MONTH, 1, "close", hour(20, 0), "Ada", hour(20, 0), "x"),
    ("glitch", MONTH, 1, "close", hour(20, 0), "Ada", hour(20, 0), "x"),
]


@pytest.fixture(scope="module")
def known(house, faulty, tmp_path_factory) -> Built:
    """The same lake, in an incremental refresh with the user's inputs."""
    layout = Layout(tmp_path_factory.mktemp("known") / "data")
    shutil.copytree(faulty.layout.root, layout.root)
    total = house.total("glitch")
    report = build_with(
        layout,
        meter_facts=FACTS,
        decisions=DECISIONS,
        tolerances=[("sentinel", Decimal(1), "one is known")],
        closed_versions=CLOSED,
        closed_rows=[
            ("steady", MONTH, 1, "m", house.total("steady") - 1, Decimal(0), house.total("steady") - 1),
            ("glitch", MONTH, 1, "m", total, Decimal(0), total),
        ],
    )
    return Built(layout, house.lake, report)


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
        "missing_intervals: 4 intervals that were asked for did not come, on 2 days (accepted by Ada: read by hand)"
    ]


def test_a_decision_counts_for_its_check_and_for_all_failed_days_or_not_at_all(known):
    grade, reasons = october(known, "grade, reasons", "changed_clock")
    assert grade == "blocked"  # the count of the change day was not accepted
    assert ["accepted" in reason for reason in reasons] == [True, False]
    assert october(known, "grade", "stuck") == ("blocked",)  # a failure of the month is not accepted for six days of it


def test_a_month_that_nobody_can_confirm_is_accepted_by_a_person(known):
    """The decision was taken without a word and had no effect: a rule meter that is gone was never ready."""
    grade, reasons = october(known, "grade, reasons", "once")
    assert grade == "ready"
    assert [reason.partition(":")[0] for reason in reasons] == ["not_confirmed"]
    assert reasons[0].endswith("(accepted by Ada: nobody can ask again)")


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


def test_a_change_after_closing_blocks_and_no_change_does_not(known, house):
    grade, reasons = october(known, "grade, reasons", "steady")
    assert grade == "blocked"
    assert reasons[0].startswith(f"changed_after_closing: the month was closed with {house.total('steady') - 1}")
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


def test_a_stated_register_map_is_no_finding(known, house):
    grade, warnings, register, advance = october(known, "grade, warnings, index_register, index_advance", "swapped")
    assert (grade, warnings, register, advance) == ("ready", [], "export", house.total("swapped"))


# --- Any period ----------------------------------------------------------------------------------------------------


def test_any_period_of_local_days_has_its_own_sum_index_and_grade(faulty, house):
    ((total, advance, start, grade, first, last, expected),) = faulty.rows(
        """select total, index_advance, index_start, grade, period_first_day, period_last_day, intervals_expected
        from billing_between(date '2026-10-05', date '2026-10-20') where site_id = 'clean'"""
    )
    stated = house.total("clean", first=5, last=20)
    assert (total, advance, start) == (stated, stated, 1000 + house.total("clean", last=4))
    assert (first, last, expected) == (date(2026, 10, 5), date(2026, 10, 20), 16 * 24)
    assert grade == "ready"


def test_a_fault_counts_in_the_periods_that_hold_it_and_in_no_other(faulty):
    for first, last, grade in [(1, 6, "ready"), (7, 7, "blocked"), (8, 20, "blocked"), (9, 31, "ready")]:
        assert faulty.rows(
            f"select grade from billing_between('2026-10-{first:02}', '2026-10-{last:02}') where site_id = 'gap'"
        ) == [(grade,)]


def test_a_month_asked_for_as_a_period_is_the_month(faulty):
    """One SQL for both: every column but the list of site checks, which months alone extend, is the same."""
    monthly = faulty.rows("from billing_monthly where billing_month = '2026-10-01' order by site_id, meter_id")
    period = faulty.rows("from billing_between('2026-10-01', '2026-10-31') order by site_id, meter_id")
    assert monthly == period


def quantities_of(rows: list[tuple]) -> tuple[Decimal, ...]:
    """Totals, grid parts, advances and counts of rows, each added up."""
    return tuple(sum(column) for column in zip(*rows, strict=True))


QUANTITIES = "total, grid, billable_total, index_advance, intervals_expected, intervals_present, days_over"


@pytest.mark.parametrize("site", LEAP_ZONES)
def test_the_months_of_a_year_add_up_to_the_year(faulty, house, site):
    """In decimals, with a leap day, and both clock changes in one of the zones."""
    months = faulty.rows(f"select {QUANTITIES} from billing_monthly where site_id = ?", [site])
    (year,) = faulty.rows(
        f"select {QUANTITIES} from billing_between('2024-01-01', '2024-12-31') where site_id = ?", [site]
    )
    stated = sum(house.stated[site, "m"].values())
    assert len(months) == 12
    assert quantities_of(months) == year == (stated, stated, stated, stated, 366 * 24, 366 * 24, 366)


@pytest.mark.parametrize("site", LEAP_ZONES)
def test_a_heating_year_is_made_of_its_quarters_and_of_its_days(faulty, house, site):
    bounds = [("01-15", "03-31"), ("04-01", "06-30"), ("07-01", "09-30"), ("10-01", "11-05")]
    quarters = [
        faulty.rows(
            f"select {QUANTITIES} from billing_between('2024-{first}', '2024-{last}') where site_id = ?", [site]
        )[0]
        for first, last in bounds
    ]
    (whole,) = faulty.rows(
        f"select {QUANTITIES} from billing_between('2024-01-15', '2024-11-05') where site_id = ?", [site]
    )
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
    ((grade, reasons, total),) = faulty.rows(
        "select grade, reasons, total from billing_between('2026-10-01', '2027-03-31') where site_id = 'clean'"
    )
    assert grade == "provisional"
    assert "running: the period had not ended at the last call" in reasons
    assert total is not None
