from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from climkit_pipeline.domain.periods import Period, local_day
from climkit_pipeline.lake.coverage import (
    Assessment,
    DayCoverage,
    after_answer,
    after_failure,
    assess_intervals,
    assess_readings,
    expected_intervals,
    from_frame,
    stretches,
    to_frame,
)

ZURICH = ZoneInfo("Europe/Zurich")
SPRING, PLAIN, AUTUMN = date(2026, 3, 29), date(2026, 3, 10), date(2026, 10, 25)
HOURS = {SPRING: 23, PLAIN: 24, AUTUMN: 25}
DAY = local_day(PLAIN, ZURICH)
LATE = DAY.end_utc + timedelta(days=3)
QUARTER = timedelta(minutes=15)


def quarters(first: int, last: int) -> set[datetime]:
    """Starts of the quarter-hours of the plain day, from ``first`` to before ``last``."""
    return {datetime(2026, 3, 9, 23, tzinfo=UTC) + number * QUARTER for number in range(first, last)}


def assessed(starts, *, day=DAY, minutes=15, asked_at=LATE, exists_from=None, is_known_before=True):
    end = {1440: day.end_utc - day.start_utc}.get(minutes, timedelta(minutes=minutes))
    held = [Period(start, start + end) for start in starts]
    return assess_intervals(
        day, held, minutes=minutes, asked_at=asked_at, exists_from=exists_from, is_known_before=is_known_before
    )


@pytest.mark.parametrize("day", HOURS)
@pytest.mark.parametrize(("minutes", "a_plain_day"), [(15, 96), (60, 24), (1440, 1)])
def test_expected_intervals_follow_the_clock_change(day, minutes, a_plain_day):
    """96 on a change day makes a gap in March that isn't one, and hides four quarter-hours in October."""
    expected = expected_intervals(local_day(day, ZURICH), minutes, None)
    extra_hours = HOURS[day] - 24
    assert len(expected) == a_plain_day + (extra_hours * 60 // minutes if minutes < 1440 else 0)
    assert expected[0].start_utc == local_day(day, ZURICH).start_utc
    assert expected[-1].end_utc - expected[0].start_utc == timedelta(hours=HOURS[day])


@pytest.mark.parametrize("day", HOURS)
def test_a_day_is_complete_with_92_96_or_100_quarter_hours_and_not_with_one_less(day):
    """A count compared with 96 called the change days short, or complete when they were not."""
    bounds = local_day(day, ZURICH)
    starts = {bounds.start_utc + number * QUARTER for number in range(HOURS[day] * 4)}
    asked = bounds.end_utc + timedelta(days=3)
    assert assessed(starts, day=bounds, asked_at=asked) == Assessment(HOURS[day] * 4, HOURS[day] * 4, "complete")
    short = assessed(starts - {max(starts)}, day=bounds, asked_at=asked)
    assert (short.state, short.gaps) == ("gap", (Period(max(starts), bounds.end_utc),))


@settings(max_examples=80, deadline=None)
@given(st.sets(st.integers(0, 95), min_size=1, max_size=95))
def test_gaps_are_exactly_the_missing_stretches(present):
    """A bound that is one interval off makes the repeated call ask for the wrong stretch."""
    first = datetime(2026, 3, 9, 23, tzinfo=UTC)
    result = assessed({first + number * QUARTER for number in present})
    missing = set()
    for gap in result.gaps:
        at = gap.start_utc
        while at < gap.end_utc:
            missing.add((at - first) // QUARTER)
            at += QUARTER
    assert result.state == "gap"
    assert missing == set(range(96)) - present
    assert all(before.end_utc < after.start_utc for before, after in zip(result.gaps, result.gaps[1:], strict=False))
    assert (result.expected, result.received) == (96, len(present))


def test_a_day_without_rows_is_empty_before_the_first_known_row_and_a_gap_after_it():
    """A meter installed in June had gaps since January, each asked for again at every run."""
    assert assessed(set(), is_known_before=False) == Assessment(96, 0, "empty")
    assert assessed(set(), is_known_before=True) == Assessment(96, 0, "gap", (DAY,))


def test_a_day_asked_before_its_end_is_pending_even_if_every_row_is_there():
    """A day asked at noon that became complete would never get its afternoon."""
    assert assessed(quarters(0, 96), asked_at=DAY.end_utc - timedelta(seconds=1)).state == "pending"
    assert assessed(quarters(0, 96), asked_at=DAY.end_utc).state == "complete"


def test_only_young_periods_missing_is_pending_and_turns_into_a_gap_after_48_hours():
    """Radio meters deliver up to two days late: red too early, or never, are both wrong."""
    starts = quarters(0, 92)
    # The oldest missing period ends at 23:15 local: 45 minutes before the day's end.
    limit = DAY.end_utc - timedelta(minutes=45) + timedelta(hours=48)
    assert assessed(starts, asked_at=limit - timedelta(seconds=1)) == Assessment(96, 92, "pending")
    partly = assessed(starts, asked_at=limit)
    assert (partly.state, partly.gaps) == ("pending", (Period(max(starts) + QUARTER, max(starts) + 2 * QUARTER),))
    last = assessed(starts, asked_at=DAY.end_utc + timedelta(hours=48))
    assert (last.state, last.gaps) == ("gap", (Period(max(starts) + QUARTER, DAY.end_utc),))


def test_an_empty_young_day_is_pending_whether_or_not_older_rows_are_known():
    """A new meter's first day was filed as empty and never asked again, though its data came the next morning."""
    young = DAY.end_utc + timedelta(hours=1)
    for is_known_before in (True, False):
        assert assessed(set(), asked_at=young, is_known_before=is_known_before).state == "pending"


@pytest.mark.parametrize(("minutes", "expected"), [(15, 36), (60, 9), (1440, 0)])
def test_nothing_is_expected_before_the_creation_of_a_site_in_the_middle_of_a_day(minutes, expected):
    """The first day of a site would be short for ever."""
    exists_from = DAY.start_utc + timedelta(hours=15)
    starts = {exists_from + number * timedelta(minutes=minutes) for number in range(expected)}
    result = assessed(starts, minutes=minutes, exists_from=exists_from, is_known_before=False)
    assert result == Assessment(expected, expected, "complete")


def test_a_day_before_the_creation_of_its_site_is_complete_with_nothing():
    """Expecting rows of a site that did not exist is a gap nobody can close."""
    assert assessed(set(), exists_from=DAY.end_utc, is_known_before=False) == Assessment(0, 0, "complete")


def test_readings_are_complete_with_any_reading_once_the_day_cannot_be_late():
    """Nobody promises a rhythm of raw readings: counting to 96 would turn every heat meter red."""
    some = {DAY.start_utc + timedelta(hours=5)}
    assert assess_readings(DAY, some, asked_at=LATE, is_known_before=True) == Assessment(None, 1, "complete")
    assert assess_readings(DAY, set(), asked_at=LATE, is_known_before=True) == Assessment(None, 0, "gap", (DAY,))
    assert assess_readings(DAY, set(), asked_at=LATE, is_known_before=False) == Assessment(None, 0, "empty")


def test_young_readings_are_pending_until_the_one_that_closes_the_day_is_there():
    """A month's closing index is the reading at midnight: a day without it must be asked again."""
    some, closing = {DAY.start_utc + timedelta(hours=5)}, {DAY.end_utc}
    for asked_at, instants, state in (
        (DAY.end_utc - timedelta(minutes=1), some, "pending"),
        (DAY.end_utc + timedelta(hours=47), some, "pending"),
        (DAY.end_utc + timedelta(hours=47), closing, "complete"),
        (DAY.end_utc + timedelta(hours=48), some, "complete"),
    ):
        assert assess_readings(DAY, instants, asked_at=asked_at, is_known_before=True).state == state


COMPLETE = Assessment(96, 96, "complete")


def answered(known, at, *, changed, whole=True, assessment=COMPLETE, month_end=DAY.end_utc + timedelta(days=20)):
    return after_answer(
        known,
        assessment,
        site_id="s",
        subject_id="m",
        asked_at=at,
        day_end=DAY.end_utc,
        month_end=month_end,
        has_changed=changed,
        is_whole_day=whole,
        minutes=15,
    )


def test_equal_answers_count_whole_answers_after_the_day_that_said_the_same():
    """A month closes after two equal pulls: an answer from before the day's end, or about a part, is none."""
    row = answered(None, DAY.end_utc - timedelta(hours=2), changed=True)
    assert row.equal_answers == 0
    counts = []
    told = [
        (True, True),
        (False, True),
        (False, False),
        (False, True),
        (True, True),
        (False, True),
        (True, False),
        (False, True),
    ]
    for hours, (changed, whole) in enumerate(told, start=1):
        row = answered(row, DAY.end_utc + timedelta(hours=hours), changed=changed, whole=whole)
        counts.append(row.equal_answers)
    assert counts == [1, 2, 2, 3, 1, 2, 1, 2]
    assert row.last_changed_at_utc == DAY.end_utc + timedelta(hours=7)
    assert row.first_asked_at_utc == DAY.end_utc - timedelta(hours=2)
    assert row.last_asked_at_utc == DAY.end_utc + timedelta(hours=8)


def test_answers_after_the_month_confirm_it_and_a_change_begins_the_count_anew():
    """A day of early in the month has many equal answers long before the month is over."""
    month_end = DAY.end_utc + timedelta(days=20)
    row, counts = None, []
    for days, changed, whole in (
        (1, True, True),
        (19, False, True),
        (20, False, True),
        (25, False, False),
        (31, False, True),
        (32, True, True),
        (33, True, False),
        (34, False, True),
    ):
        row = answered(row, DAY.end_utc + timedelta(days=days), changed=changed, whole=whole, month_end=month_end)
        counts.append(row.equal_after_month)
    assert counts == [0, 0, 1, 1, 2, 1, 1, 2]


def test_an_answer_that_was_counted_is_not_counted_again():
    """A commit repeated after a kill made one pull look like two equal ones, and closed the month."""
    at = DAY.end_utc + timedelta(hours=1)
    once = answered(None, at, changed=True)
    for changed in (True, False):
        assert answered(once, at, changed=changed) == once
    twice = answered(once, at + timedelta(hours=1), changed=False)
    assert answered(twice, at, changed=True).equal_answers == twice.equal_answers == 2


@pytest.mark.parametrize("state", ["complete", "gap", "empty"])
def test_a_failure_keeps_what_was_known(state):
    """One bad night turned a complete month red."""
    known = answered(None, LATE, changed=True, assessment=Assessment(96, 90, state))
    row = after_failure(known, site_id="s", subject_id="m", asked_at=LATE + timedelta(hours=1), detail="no answer")
    assert (row.state, row.received, row.detail) == (state, 90, "no answer")
    assert row.last_asked_at_utc == LATE, "a call without an answer says nothing about the rows"


@pytest.mark.parametrize("known", [None, answered(None, LATE, changed=True, assessment=Assessment(96, 1, "pending"))])
def test_a_failure_of_a_day_that_was_not_known_is_failed_and_an_answer_heals_it(known):
    """A day that failed at first must be asked again, and must become good."""
    row = after_failure(known, site_id="s", subject_id="m", asked_at=LATE, detail="no answer")
    assert row.state == "failed"
    healed = answered(row, LATE + timedelta(hours=1), changed=True)
    assert (healed.state, healed.detail) == ("complete", None)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(0, 95), unique=True))
def test_stretches_join_what_touches_in_any_order(numbers):
    """Two neighbours left apart cost a call each."""
    joined = stretches(Period(DAY.start_utc + n * QUARTER, DAY.start_utc + (n + 1) * QUARTER) for n in numbers)
    starts = [n for n in numbers if n - 1 not in numbers]
    assert [(gap.start_utc - DAY.start_utc) // QUARTER for gap in joined] == sorted(starts)
    assert sum((gap.duration for gap in joined), timedelta()) == len(numbers) * QUARTER


def test_coverage_rows_survive_their_frame():
    """A gap bound or a null lost on the way to Parquet changes what is asked next."""
    rows = [
        DayCoverage("s", "a", LATE, LATE, LATE, 15, 96, 3, "gap", (DAY, Period(LATE, LATE + QUARTER)), 2, 1, "why"),
        DayCoverage("s", "b", LATE, LATE, None, None, None, 0, "empty", (), 0, 0, None),
    ]
    assert from_frame(to_frame(rows)) == {("s", "a"): rows[0], ("s", "b"): rows[1]}
    assert from_frame(to_frame([])) == {}
