"""The verdict over faults in the data, on labels and findings written by hand."""

from __future__ import annotations

import csv
from datetime import UTC, date, datetime
from decimal import Decimal

from data_fault_table import (
    ABOUT_OTHERS,
    EXPECTED,
    EXPECTED_OF_SIBLINGS,
    LAST_MONTH,
    REVISED_AT,
    Counted,
    Found,
    KindResult,
    as_markdown,
    faults_for,
    judge,
    judge_revised,
    months_until,
)

from climkit_pipeline.simulator import Label, World
from climkit_pipeline.simulator.data_faults import KINDS
from climkit_pipeline.user_files.checks import CHECKS_FILE

JUNE, JULY = date(2026, 6, 1), date(2026, 7, 1)
READY = ("ready", Decimal(100), Decimal(40))
BLOCKED = ("blocked", None, None)


def label(kind: str, meter: str, cause: str | None = None, months: tuple[date, ...] = (JUNE,)) -> Label:
    at = datetime(2026, 6, 5, tzinfo=UTC)
    return Label(kind, "s", meter, cause or meter, months, at, at, intervals=1, readings=0)


def found(grade: str, total: Decimal | None, solar: Decimal | None, *alarms: str) -> Found:
    return Found(grade, (total, solar), frozenset(alarms))


def counted(*meters: str, months: tuple[date, ...] = (JUNE, JULY)) -> dict[tuple[str, str, date], Counted]:
    truth = Counted(Decimal(100), Decimal(40), Decimal("0.001"))
    return {("s", meter, month): truth for meter in meters for month in months}


def test_every_kind_says_what_should_notice_it():
    """A kind that nobody expects anything of would never be missed."""
    assert EXPECTED.keys() == KINDS.keys()
    assert {kind for kind, expected in EXPECTED.items() if not expected.required} == {
        "vacant",
        "hourly",
        "noise",
        "replaced_read",
    }
    with CHECKS_FILE.open(encoding="utf-8", newline="") as file:
        known = {row["check_name"] for row in csv.DictReader(file)}
    for expected in EXPECTED.values():
        assert expected.all <= known - ABOUT_OTHERS
        assert not expected.required & expected.by_consequence.keys()
        assert all(len(why) > 15 for why in expected.by_consequence.values())
    assert EXPECTED_OF_SIBLINGS.keys() <= KINDS.keys()


def test_a_fault_is_caught_by_all_checks_that_should_notice_it_in_any_month_concerned():
    verdict = judge(
        [label("offline", "a", months=(JUNE, JULY)), label("stuck", "b"), label("gap", "c")],
        {
            ("s", "a", JUNE): found(*BLOCKED, "zero_run"),
            ("s", "a", JULY): found(*BLOCKED, "index_difference"),
            ("s", "b", JUNE): found(*BLOCKED, "spike"),
        },
        counted("a", "b", "c"),
    )
    assert [verdict.kinds[kind].caught for kind in ("offline", "stuck", "gap")] == [1, 0, 0]
    assert verdict.kinds["stuck"].missed == ["b in 2026-06"]
    assert verdict.kinds["stuck"].raised == {"spike": 1}
    assert verdict.missed == 2
    assert not verdict.is_good


def test_a_part_of_what_should_be_raised_is_a_miss():
    """Any one of several was enough."""
    for alarms, caught in ((("no_data",), 0), (("no_data", "missing_intervals"), 1)):
        verdict = judge([label("no_data", "a")], {("s", "a", JUNE): found(*BLOCKED, *alarms)}, counted("a"))
        assert verdict.kinds["no_data"].caught == caught


def test_what_is_raised_beyond_a_fault_and_its_consequences_is_counted():
    """Whatever else was raised on the faulty meter counted as nothing."""
    verdict = judge(
        [label("spike", "a"), label("gap", "b")],
        {
            ("s", "a", JUNE): found(*BLOCKED, "spike", "index_difference", "stuck", "unsound_sibling", "negative"),
            ("s", "b", JUNE): found(*BLOCKED, "missing_intervals", "index_difference"),
        },
        counted("a", "b"),
    )
    assert (verdict.kinds["spike"].beyond, verdict.kinds["gap"].beyond) == ({"negative": 1}, {})
    assert (verdict.beyond, verdict.missed) == (1, 0)


def test_what_is_raised_on_a_clean_month_is_a_false_alarm():
    clean = {("s", f"m{number}", JULY): found(*READY) for number in range(999)}
    verdict = judge([label("gap", "a")], {**clean, ("s", "x", JULY): found(*READY, "spike")}, counted("x", "a"))
    assert (verdict.clean, len(verdict.false_alarms)) == (1, 1)
    truth = counted("a", "x", *(f"m{number}" for number in range(999)))
    verdict = judge([], {**clean, ("s", "x", JULY): found(*READY, "spike")}, truth)
    assert (verdict.clean, verdict.false_alarms_per_thousand) == (1000, 1.0)
    assert verdict.is_good
    verdict = judge([], {**clean, ("s", "x", JULY): found(*READY, "a"), ("s", "a", JULY): found(*READY, "b")}, truth)
    assert verdict.false_alarms_per_thousand > 1
    assert not verdict.is_good


def test_what_is_raised_beside_a_fault_or_before_a_meter_exists_is_told_apart():
    verdict = judge(
        [label("conflict", "a")],
        {
            ("s", "x", JUNE): found(*READY, "equal_autonomy"),
            ("s", "x", JULY): found(*READY),
            ("s", "y", JULY): found(*BLOCKED, "no_data"),
        },
        counted("a", "x"),
    )
    assert (verdict.clean, verdict.false_alarms) == (1, [])
    assert (verdict.beside, verdict.beside_alarms) == (1, {"equal_autonomy": 1})
    assert verdict.absent_grades == {"blocked": 1}


def test_an_alarm_on_an_empty_flat_is_a_miss():
    for alarms, caught in (((), 1), (("zero_run",), 0), (("unsound_sibling",), 1)):
        verdict = judge([label("vacant", "a")], {("s", "a", JUNE): found(*READY, *alarms)}, counted("a"))
        assert verdict.kinds["vacant"].caught == caught
        assert verdict.clean == 0


def test_a_ready_month_with_another_quantity_than_the_truth_is_wrongly_ready():
    """The index tells a thousandth: what is nearer counts as true, whatever was raised."""
    cases = (
        (Decimal("100.1"), Decimal(40), 0),
        (Decimal("100.2"), Decimal(40), 1),
        (Decimal(100), Decimal("40.2"), 1),
    )
    for total, solar, wrong in cases:
        verdict = judge([label("stuck", "a")], {("s", "a", JUNE): found("ready", total, solar, "stuck")}, counted("a"))
        assert len(verdict.kinds["stuck"].wrongly_ready) == verdict.wrongly_ready == wrong
        assert verdict.is_good == (not wrong)
    provisional = judge([label("stuck", "a")], {("s", "a", JUNE): found("blocked", None, None, "stuck")}, counted("a"))
    assert provisional.is_good


def test_a_fault_that_moves_less_than_can_be_known_is_harmless_where_it_only_moves_a_quantity():
    cases = (("stuck", Decimal("100.1"), (1, 1)), ("stuck", Decimal("100.2"), (0, 0)), ("gap", Decimal(100), (0, 0)))
    for kind, total, expected in cases:
        (result,) = (
            judge([label(kind, "a")], {("s", "a", JUNE): found("ready", total, Decimal(40))}, counted("a")).kinds[kind],
        )
        assert (result.caught, result.harmless) == expected
        assert result.faults == 1


def test_a_sibling_is_missed_unless_its_month_is_ready_and_right():
    labels = [label("missing_sibling", meter, "cause") for meter in ("a", "b", "c")]
    verdict = judge(
        labels,
        {
            ("s", "a", JUNE): found(*BLOCKED, "without_split"),
            ("s", "b", JUNE): found(*READY),
            ("s", "c", JUNE): found("ready", Decimal(100), Decimal(30)),
        },
        counted("a", "b", "c"),
    )
    result = verdict.kinds["missing_sibling"]
    assert (result.siblings, result.siblings_missed, result.siblings_wrongly_ready) == (3, ["c in 2026-06"], 1)


def test_a_revision_that_was_fetched_again_leaves_the_truth():
    labels = [label("late_revision", "a"), label("late_revision", "b")]
    result = judge_revised(
        labels,
        {("s", "a", JUNE): found(*READY), ("s", "b", JUNE): found(*READY, "index_difference")},
        counted("a", "b"),
    )
    assert (result.caught, result.missed) == (1, ["b in 2026-06"])


def test_faults_share_no_meter_and_no_month_of_a_site_as_long_as_there_are_enough():
    world = World(seed=7, sites=7, meters=15, created=date(2025, 8, 1))
    months = months_until(LAST_MONTH, 12)
    assert (len(months), months[0], months[-1]) == (12, date(2025, 10, 1), LAST_MONTH)
    faults = faults_for(world, months, 2)
    assert faults == faults_for(world, months, 2)
    assert sorted(fault.kind for fault in faults) == sorted([*KINDS, *KINDS])
    assert len({fault.meter for fault in faults}) == len(faults)
    # An empty flat is no fault, and stands empty for months.
    placed = [(fault.site, fault.first_day.replace(day=1)) for fault in faults if fault.kind != "vacant"]
    assert len(set(placed)) == len(placed)
    assert {fault.revised_at for fault in faults if fault.kind == "late_revision"} == {REVISED_AT}
    assert len({fault.site for fault in faults if fault.kind == "vanishes"}) == 1


def test_the_table_names_every_kind_and_what_was_found():
    alarms = ("missing_intervals", "negative")
    verdict = judge([label("gap", "a")], {("s", "a", JUNE): found(*BLOCKED, *alarms)}, counted("a"))
    table = as_markdown(verdict, KindResult("late_revision", caught=1), sites=7, months=12, command="make it")
    first, _, rest = table.partition("What may follow")
    lines = {line.split("`")[1]: line for line in first.splitlines() if line.startswith("| `")}
    assert lines.keys() >= KINDS.keys()
    assert lines["gap"].endswith(
        "| 1 | 1 | 0 | 0 | `missing_intervals` | `missing_intervals` 1, `negative` 1 | `negative` 1 |"
    )
    for kind, expected in EXPECTED.items():
        for check, why in expected.by_consequence.items():
            assert f"| `{kind}` | `{check}` | {why} |" in rest
    assert "per thousand (at most 1)" in table
