"""How complete a day is, per site and subject: the law that planning, status and quality read instead of counting rows.

States: ``complete`` (every period that exists is there) · ``gap`` (periods older than 48 h are missing, their bounds
are recorded) · ``empty`` (nothing there, and nothing known from before) · ``pending`` (asked before the day had
ended, or only periods younger than 48 h are missing) · ``failed`` (the call did not succeed).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import lru_cache
from itertools import pairwise
from typing import Any

import polars as pl

from climkit_pipeline.domain.periods import Period
from climkit_pipeline.lake.held_times import HeldTimes
from climkit_pipeline.lake.schemas import COVERAGE_SCHEMA

COMPLETE = "complete"
GAP = "gap"
EMPTY = "empty"
PENDING = "pending"
FAILED = "failed"

LATE_DATA = timedelta(hours=48)
"""How long gateways may take to deliver (offline meters, radio networks): younger periods are late, not missing."""

QUARTER_HOUR_MINUTES = 15
DAILY_MINUTES = 1440
READINGS_THAT_SHOW_A_RHYTHM = 4
REGULAR_SHARE = 0.9
"""Of the distances between readings; meters are read on a clock, some sensors when something happens."""


@dataclass(frozen=True, slots=True)
class DayCoverage:
    """One row of a day's coverage; field names are the columns of COVERAGE_SCHEMA."""

    site_id: str
    subject_id: str
    first_asked_at_utc: datetime
    last_asked_at_utc: datetime
    last_changed_at_utc: datetime | None = None
    interval_minutes: int | None = None
    expected: int | None = None
    received: int = 0
    state: str = PENDING
    gaps: tuple[Period, ...] = ()
    equal_answers: int = 0
    equal_after_month: int = 0
    detail: str | None = None


@dataclass(frozen=True, slots=True)
class Assessment:
    """What is expected of a day and what is there."""

    expected: int | None
    received: int
    state: str
    gaps: tuple[Period, ...] = ()


def expected_intervals(day: Period, minutes: int, exists_from: datetime | None) -> list[Period]:
    """The intervals of a local day at a step of ``minutes`` that lie after the site's creation.

    A daily step means one interval as long as the day, 23 to 25 hours.
    """
    intervals = [day] if minutes == DAILY_MINUTES else list(day.intervals(timedelta(minutes=minutes)))
    return [interval for interval in intervals if exists_from is None or interval.start_utc >= exists_from]


def assess_intervals(
    day: Period,
    held: Collection[Period],
    *,
    minutes: int,
    asked_at: datetime,
    exists_from: datetime | None,
    is_known_before: bool,
) -> Assessment:
    """The state of one subject's day of intervals, given those that are held, whatever length each has.

    What they leave open is counted in steps of ``minutes``.
    """
    missing, there = _uncovered(expected_intervals(day, minutes, exists_from), held)
    expected, received = len(missing) + there, len(held)
    if asked_at < day.end_utc:
        return Assessment(expected, received, PENDING)
    if not missing:
        return Assessment(expected, received, COMPLETE)
    overdue = [interval for interval in missing if interval.end_utc <= asked_at - LATE_DATA]
    if len(overdue) < len(missing):
        return Assessment(expected, received, PENDING, stretches(overdue))
    if not held and not is_known_before:
        return Assessment(expected, 0, EMPTY)
    return Assessment(expected, received, GAP, stretches(missing))


def _uncovered(grid: Sequence[Period], held: Collection[Period]) -> tuple[list[Period], int]:
    """What of ``grid`` no interval that is held covers, and how many of these cover some of it side by side."""
    missing: list[Period] = []
    there, until = 0, None
    ordered = sorted(held)
    position = 0
    for interval in grid:
        while position < len(ordered) and ordered[position].end_utc < interval.end_utc:
            position += 1
        covering = ordered[position] if position < len(ordered) else None
        if covering is None or covering.start_utc > interval.start_utc:
            missing.append(interval)
        elif until is None or covering.start_utc >= until:
            there, until = there + 1, covering.end_utc
    return missing, there


def assess_held_intervals(
    day: Period,
    held: HeldTimes | None,
    *,
    minutes: int,
    asked_at: datetime,
    exists_from: datetime | None,
    is_known_before: bool,
) -> Assessment:
    """As ``assess_intervals``, without a look at every interval where the day is whole."""
    # A site's creation before the day is nothing to the day: all sites share one list then.
    bounds = _bounds_of_expected(day, minutes, exists_from if _is_within(exists_from, day) else None)
    if held is not None and held.is_tiled and (held.first, held.until) == bounds:
        return Assessment(held.count, held.count, PENDING if asked_at < day.end_utc else COMPLETE)
    return assess_intervals(
        day,
        held.intervals() if held else (),
        minutes=minutes,
        asked_at=asked_at,
        exists_from=exists_from,
        is_known_before=is_known_before,
    )


def _is_within(instant: datetime | None, day: Period) -> bool:
    return instant is not None and instant > day.start_utc


@lru_cache(maxsize=512)
def _bounds_of_expected(
    day: Period, minutes: int, exists_from: datetime | None
) -> tuple[datetime | None, datetime | None]:
    """From when until when intervals are expected."""
    expected = expected_intervals(day, minutes, exists_from)
    return (expected[0].start_utc, expected[-1].end_utc) if expected else (None, None)


def assess_held_readings(
    day: Period, held: HeldTimes | None, *, asked_at: datetime, is_known_before: bool
) -> Assessment:
    """As ``assess_readings``, without a look at every reading where they go on regularly to the end of the day."""
    if held is not None and held.last == day.end_utc and held_rhythm(held) is not None:
        return Assessment(None, held.count, PENDING if asked_at < day.end_utc else COMPLETE)
    instants = held.each() if held else set()
    return assess_readings(day, instants, asked_at=asked_at, is_known_before=is_known_before)


def held_rhythm(held: HeldTimes) -> timedelta | None:
    """The distance of readings that are all equally far apart; None for too few of them, or for any others."""
    return held.step if held.count >= READINGS_THAT_SHOW_A_RHYTHM else None


def assess_readings(day: Period, instants: set[datetime], *, asked_at: datetime, is_known_before: bool) -> Assessment:
    """The state of one subject's day of readings, whose rhythm nobody promises: any reading makes it complete.

    Unless the day's own rhythm says that it breaks off: then the reading that closes the day, and with it perhaps a
    month, is missing.
    """
    if asked_at < day.end_utc:
        return Assessment(None, len(instants), PENDING)
    is_young = day.end_utc > asked_at - LATE_DATA
    if is_young and day.end_utc not in instants:
        return Assessment(None, len(instants), PENDING)
    if instants:
        rhythm = rhythm_of(instants)
        if rhythm is not None and max(instants) + rhythm <= day.end_utc:
            return Assessment(None, len(instants), GAP, (Period(max(instants), day.end_utc),))
        return Assessment(None, len(instants), COMPLETE)
    if is_known_before:
        return Assessment(None, 0, GAP, (day,))
    return Assessment(None, 0, EMPTY)


def rhythm_of(instants: Collection[datetime]) -> timedelta | None:
    """The distance of regular readings; None for too few of them, or for irregular ones."""
    ordered = sorted(instants)
    distances = Counter(later - earlier for earlier, later in pairwise(ordered))
    if len(ordered) < READINGS_THAT_SHOW_A_RHYTHM:
        return None
    rhythm, times = distances.most_common(1)[0]
    return rhythm if times >= REGULAR_SHARE * (len(ordered) - 1) else None


def stretches(intervals: Iterable[Period]) -> tuple[Period, ...]:
    """Adjacent intervals joined, in order."""
    joined: list[Period] = []
    for interval in sorted(intervals):
        if joined and joined[-1].end_utc == interval.start_utc:
            joined[-1] = Period(joined[-1].start_utc, interval.end_utc)
        else:
            joined.append(interval)
    return tuple(joined)


def after_answer(
    known: DayCoverage | None,
    assessment: Assessment,
    *,
    site_id: str,
    subject_id: str,
    asked_at: datetime,
    day_end: datetime,
    month_end: datetime,
    has_changed: bool,
    is_whole_day: bool,
    minutes: int | None,
    detail: str | None = None,
) -> DayCoverage:
    """The row after an answer.

    ``equal_answers`` counts whole-day answers since the day ended that said the same, ``equal_after_month`` those
    since the local month ended.
    """
    row = known or DayCoverage(site_id, subject_id, asked_at, asked_at)

    def counted(equal: int, since: datetime) -> int:
        if known is not None and asked_at <= known.last_asked_at_utc:
            return equal  # counted before a commit was repeated, or older than what was counted
        if has_changed:
            # An answer about a part leaves the rest as it was last seen: together they are one view of the day.
            return int(asked_at >= since) if is_whole_day else min(equal, 1)
        return equal + int(is_whole_day and asked_at >= since)

    return replace(
        row,
        first_asked_at_utc=min(row.first_asked_at_utc, asked_at),
        last_asked_at_utc=max(row.last_asked_at_utc, asked_at),
        last_changed_at_utc=max(filter(None, (row.last_changed_at_utc, asked_at)))
        if has_changed
        else row.last_changed_at_utc,
        interval_minutes=minutes,
        expected=assessment.expected,
        received=assessment.received,
        state=assessment.state,
        gaps=assessment.gaps,
        equal_answers=counted(row.equal_answers, day_end),
        equal_after_month=counted(row.equal_after_month, month_end),
        detail=detail,
    )


def after_failure(
    known: DayCoverage | None, *, site_id: str, subject_id: str, asked_at: datetime, detail: str
) -> DayCoverage:
    """The row after a call that failed: a day that was known keeps its state, one that was not is ``failed``."""
    row = known or DayCoverage(site_id, subject_id, asked_at, asked_at, state=FAILED)
    keeps_state = row.state in {COMPLETE, GAP, EMPTY}
    return replace(row, state=row.state if keeps_state else FAILED, detail=detail)


def to_frame(rows: Iterable[DayCoverage]) -> pl.DataFrame:
    """Coverage rows as a frame with the columns of COVERAGE_SCHEMA."""
    records: list[dict[str, Any]] = [
        {
            **{name: getattr(row, name) for name in COVERAGE_SCHEMA if name != "gaps"},
            "gaps": [{"gap_start_utc": gap.start_utc, "gap_end_utc": gap.end_utc} for gap in row.gaps],
        }
        for row in rows
    ]
    return pl.DataFrame(records, schema=COVERAGE_SCHEMA)


def rows_of(frame: pl.DataFrame) -> list[DayCoverage]:
    """The rows of a coverage frame in their order, whatever other columns it has."""
    rows = []
    for record in frame.select(list(COVERAGE_SCHEMA)).iter_rows(named=True):
        gaps = tuple(Period(gap["gap_start_utc"], gap["gap_end_utc"]) for gap in record.pop("gaps") or ())
        rows.append(DayCoverage(**record, gaps=gaps))
    return rows


def from_frame(frame: pl.DataFrame) -> dict[tuple[str, str], DayCoverage]:
    """The rows of one day's coverage frame by site and subject."""
    return {(row.site_id, row.subject_id): row for row in rows_of(frame)}
