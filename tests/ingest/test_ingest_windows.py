from __future__ import annotations

from datetime import date, timedelta
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ingest_bench import NOW

from climkit_pipeline.ingest.reports import IngestRequest
from climkit_pipeline.ingest.windows import Window, is_missing, months_newest_first, plan_windows
from climkit_pipeline.lake.coverage import DayCoverage

ORIGIN = date(2026, 1, 1)
LAW = settings(max_examples=150, deadline=None)
DAYS = st.sets(st.integers(0, 150), max_size=80).map(lambda days: {ORIGIN + timedelta(days=day) for day in days})
FEW_DAYS = st.sets(st.integers(20, 45), min_size=1, max_size=9).map(
    lambda days: sorted(ORIGIN + timedelta(days=day) for day in days)
)
BOUND = st.integers(1, 40)


def fewest(days, bound):
    """How many windows are needed: take the first day left and reach as far as allowed."""
    count, reach = 0, None
    for day in sorted(days):
        if reach is None or day > reach:
            count, reach = count + 1, day + timedelta(days=bound - 1)
    return count


def every_plan(days, bound):
    """All ways to cut sorted days into windows that are short enough."""
    if not days:
        yield []
    for size in range(1, len(days) + 1):
        if (days[size - 1] - days[0]).days < bound:
            for rest in every_plan(days[size:], bound):
                yield [(days[0], days[size - 1]), *rest]


def odd_cuts(plan):
    """Cuts between two neighbouring days inside a month."""
    return sum((after[0] - before[1]).days == 1 and after[0].day != 1 for before, after in pairwise(plan))


@LAW
@given(DAYS, BOUND)
def test_windows_cover_exactly_the_wanted_days(days, bound):
    """A day in no window is never fetched; a day in two is paid for twice."""
    windows = plan_windows(days, bound)
    for day in days:
        assert sum(window.first_day <= day <= window.last_day for window in windows) == 1
    for window in windows:
        assert {window.first_day, window.last_day} <= days
        assert 1 <= window.days <= bound
    assert all(before.last_day < after.first_day for before, after in pairwise(windows))


@LAW
@given(DAYS, BOUND)
def test_no_plan_needs_fewer_calls(days, bound):
    """At one call a second a call too many per meter and month is half an hour per backfill."""
    assert len(plan_windows(days, bound)) == fewest(days, bound)


@LAW
@given(FEW_DAYS, st.integers(2, 12))
def test_among_equals_windows_are_cut_at_month_starts_then_ask_for_the_least(days, bound):
    """A month cut in two is committed in two: it is billable one commit later."""
    best = min((len(plan), odd_cuts(plan), sum((last - first).days for first, last in plan))
               for plan in every_plan(days, bound))  # fmt: skip
    chosen = [(window.first_day, window.last_day) for window in plan_windows(days, bound)]
    assert (len(chosen), odd_cuts(chosen), sum((last - first).days for first, last in chosen)) == best


def test_months_of_31_days_at_most_are_one_call_each():
    """Windows counted from the first day drift through the months."""
    days = [date(2026, 1, 1) + timedelta(days=number) for number in range(365)]
    windows = plan_windows(days, 31)
    assert [window.first_day for window in windows] == [date(2026, month, 1) for month in range(1, 13)]


@pytest.mark.parametrize("offset", range(31))
def test_three_years_in_chunks_of_31_days_are_at_most_37_windows(offset):
    """The UI's chunks lie across month starts: cut there as well, they were twice as many calls."""
    days = [date(2023, 11, 1) + timedelta(days=offset + number) for number in range(1096)]
    chunks = [days[start : start + 31] for start in range(0, len(days), 31)]
    windows = [window for chunk in chunks for window in plan_windows(chunk, 31)]
    assert len(windows) <= 37
    assert sum(window.days for window in windows) == 1096
    assert len(plan_windows(days, 31)) <= 37


@given(st.integers(2, 400))
def test_halves_are_the_window(length):
    """A day lost between two halves is lost without a word."""
    window = Window(ORIGIN, ORIGIN + timedelta(days=length - 1))
    older, newer = window.halves()
    assert (older.first_day, newer.last_day) == (window.first_day, window.last_day)
    assert newer.first_day - older.last_day == timedelta(days=1)
    assert abs(older.days - newer.days) <= 1


@LAW
@given(st.integers(0, 800), st.integers(0, 800))
def test_months_come_newest_first_and_tile_the_range(first, length):
    """Last month must be billable after the first month of a backfill, not after three years of it."""
    first_day = ORIGIN + timedelta(days=first)
    last_day = first_day + timedelta(days=length)
    months = list(months_newest_first(first_day, last_day))
    assert months[0].last_day == last_day
    assert months[-1].first_day == first_day
    for newer, older in pairwise(months):
        assert newer.first_day - older.last_day == timedelta(days=1)
        assert newer.first_day.day == 1
    assert len({(month.first_day.year, month.first_day.month) for month in months}) == len(months)
    assert all(month.first_day.month == month.last_day.month for month in months)


@pytest.mark.parametrize(
    ("state", "first_rows", "expected"),
    [
        (None, None, True),
        ("complete", -5, False),
        ("failed", None, True),
        ("pending", -5, True),
        ("gap", -5, True),
        ("empty", None, False),
        ("empty", 3, False),
        ("empty", -5, True),
    ],
)
def test_missing_is_never_asked_failed_pending_or_a_gap(state, first_rows, expected):
    """An empty day was asked at every run, or never again once older rows had turned up."""
    row = DayCoverage("s", "m", NOW, NOW, state=state) if state else None
    known = None if first_rows is None else ORIGIN + timedelta(days=first_rows)
    assert is_missing(row, ORIGIN, known) is expected


def test_92_days_of_24_meters_are_at_most_75_calls(bench):
    """Day by day they were 2,208 calls: 37 minutes instead of 75 seconds."""
    one = bench(world={"sites": 1, "meters": 24})
    ingestion = one.new_ingestion()
    sites = ingestion.listings(ingestion.open_account()).sites
    request = IngestRequest(date(2026, 7, 1), date(2026, 9, 30), datasets=("meter_intervals",))
    plan = ingestion.plan(request, sites)
    assert 24 * 3 <= len(plan.tasks) <= 75
    assert plan.subject_days == {"meter_intervals": 24 * 92}
    assert {task.subject_id for task in plan.tasks} == {meter.id for meter in one.world.sites[0].meters}
    assert one.series_calls() == [], "a plan asks for no series"
