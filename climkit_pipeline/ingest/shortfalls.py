"""Where an answer is shorter than what exists: gaps, a missing front, a missing end.

Here: what one answer lacks, apart from what is known to be lacking. Not here: asking for it (``fetching``), and which
days are complete (``lake.coverage``).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta

import polars as pl

from climkit_pipeline.domain.periods import ONE_DAY, Period, dates_between, local_date_of_reading, local_day
from climkit_pipeline.ingest.frames import ParsedAnswer
from climkit_pipeline.ingest.landing import Landed
from climkit_pipeline.ingest.parsing import known_steps, parse_landed
from climkit_pipeline.ingest.tasks import Task
from climkit_pipeline.lake import coverage as law
from climkit_pipeline.lake.coverage import DayCoverage
from climkit_pipeline.lake.day_files import current_rows, read_coverage_day, read_day
from climkit_pipeline.lake.first_days import first_days_with_rows
from climkit_pipeline.lake.held_times import held_times
from climkit_pipeline.lake.layout import Layout

MOST_STRETCHES_ASKED = 3


class Shortfalls:
    """What answers lack, beside what the lake holds and knows."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout

    def missing_stretches(self, task: Task, entry: Landed) -> tuple[ParsedAnswer, list[Period]]:
        """What an answer holds, and where it is shorter than what exists, apart from gaps that are known already."""
        steps = known_steps(self._layout, task.dataset, [entry])
        # A shape that nobody knows must fail here, not in a commit.
        parsed = parse_landed(task.dataset, entry, steps.of(entry))
        if task.dataset.kind != "interval":
            return parsed, self._missing_front(task, entry, parsed) + self._missing_tail(task, entry, parsed)
        key = (task.site_id, task.subject_id)
        first_start = parsed.rows["interval_start_utc"].min()
        # Before its first row a meter may not have existed; where older rows are known, it did.
        opening = local_day(task.window.first_day, task.listing.zone)
        is_whole_from_start = isinstance(first_start, datetime) and first_start in opening
        first_day = None if is_whole_from_start else first_days_with_rows(self._layout, task.dataset).get(key)
        held = held_times(parsed.rows, "interval_start_utc", ["local_date"], "interval_end_utc")
        missing: list[Period] = []
        minutes = parsed.interval_minutes or law.QUARTER_HOUR_MINUTES
        for day in dates_between(task.window.first_day, task.window.last_day):
            bounds = local_day(day, task.listing.zone)
            of_day = held.get((day,))
            is_front = isinstance(first_start, datetime) and bounds.start_utc < first_start
            # A day without rows is counted in the steps of the days before it.
            minutes = (of_day.shortest_minutes if of_day else None) or minutes
            assessment = law.assess_held_intervals(
                bounds,
                of_day,
                minutes=minutes,
                asked_at=entry.received_at_utc,
                exists_from=entry.exists_from_utc,
                is_known_before=(isinstance(first_start, datetime) and first_start < bounds.start_utc)
                or (first_day is not None and first_day < day)
                # An answer that holds its newest rows alone looks just like a meter that did not exist yet.
                or is_front,
            )
            if assessment.gaps:
                known = law.from_frame(read_coverage_day(self._layout, task.dataset, day)).get(key)
                if is_front and known is not None and known.state == law.EMPTY:
                    continue
                expected = law.expected_intervals(bounds, minutes, entry.exists_from_utc)
                missing += self._newly_missing(task, day, assessment.gaps, expected, known)
        stretches = list(law.stretches(missing))
        if len(stretches) > MOST_STRETCHES_ASKED:
            # A call each would cost more than the window itself.
            stretches = [Period(stretches[0].start_utc, stretches[-1].end_utc)]
        return parsed, stretches

    def _newly_missing(
        self, task: Task, day: date, gaps: Sequence[Period], expected: Sequence[Period], known: DayCoverage | None
    ) -> Sequence[Period]:
        """What of ``gaps`` no earlier answer lacked: a gap on record is known, and so is late data that stays away."""
        if known is None:
            return gaps
        new = [gap for gap in gaps if not any(_holds(outer, gap) for outer in known.gaps)]
        if known.state != law.PENDING or not new:
            return new
        held = self._held_instants(task, day)
        return [
            interval
            for interval in expected
            if any(_holds(gap, interval) for gap in new)
            and (interval.start_utc in held or interval.end_utc > known.last_asked_at_utc)
        ]

    def _held_instants(self, task: Task, day: date) -> set[datetime]:
        """The times of the current rows that the lake holds of the task's subject and a day."""
        rows = current_rows(read_day(self._layout, task.dataset, day)).filter(
            (pl.col("site_id") == task.site_id) & (pl.col(task.dataset.subject) == task.subject_id)
        )
        return set(rows[task.dataset.time or task.dataset.subject].to_list())

    def _missing_front(self, task: Task, entry: Landed, parsed: ParsedAnswer) -> list[Period]:
        """The beginning of an answer of readings, if it holds none and was never asked for before.

        A meter may not have existed yet, or the answer holds its newest rows alone.
        """
        times = parsed.rows["read_at_utc"]
        first, zone = times.min(), task.listing.zone
        opening = local_day(task.wanted_days.first_day, zone).start_utc
        if not isinstance(first, datetime) or entry.kept_from_utc is None:
            return []
        rhythm = law.rhythm_of(times.to_list()) or ONE_DAY
        if first - rhythm <= opening or first > entry.received_at_utc - law.LATE_DATA:
            return []
        day = local_date_of_reading(first - rhythm, zone)
        known = law.from_frame(read_coverage_day(self._layout, task.dataset, day)).get((task.site_id, task.subject_id))
        return [Period(opening, first)] if known is None or known.state == law.COMPLETE else []

    def _missing_tail(self, task: Task, entry: Landed, parsed: ParsedAnswer) -> list[Period]:
        """The end of an answer of readings, if it lacks what their own rhythm promises and no earlier answer lacked.

        Nobody says when a meter is read, so only an answer that breaks off is noticed: it is what a short answer looks
        like, and its last reading is the one that closes a month.
        """
        held = held_times(parsed.rows, "read_at_utc", [task.dataset.subject]).get((task.subject_id,))
        rhythm = None if held is None else law.held_rhythm(held) or law.rhythm_of(held.each())
        if held is None or rhythm is None:
            return []
        last, zone = held.last, task.listing.zone
        due = min(local_day(task.window.last_day, zone).end_utc, entry.received_at_utc - law.LATE_DATA)
        if last + rhythm > due:
            return []
        day = local_date_of_reading(last + rhythm, zone)
        known = law.from_frame(read_coverage_day(self._layout, task.dataset, day)).get((task.site_id, task.subject_id))
        was_asked = known is not None and known.last_asked_at_utc > last + rhythm
        if was_asked and max(self._held_instants(task, day), default=last) <= last:
            return []
        return [Period(last, due)]


def first_time(parsed: ParsedAnswer, within: Period) -> datetime | None:
    """The first interval's start, or the first reading, if it lies in a stretch."""
    is_reading = "read_at_utc" in parsed.rows.columns
    first = parsed.rows["read_at_utc" if is_reading else "interval_start_utc"].min()
    return first if isinstance(first, datetime) and first < within.end_utc else None


def begins_after(parsed: ParsedAnswer, start: datetime) -> bool:
    """Whether nothing of an answer is as old as an instant."""
    first = first_time(parsed, Period(start, datetime.max.replace(tzinfo=UTC)))
    return first is not None and first > start and not parsed.is_from_start


def before_rows(parsed: ParsedAnswer, stretch: Period) -> Period | None:
    """What of a stretch comes before the rows of an answer that holds the newest of it alone."""
    first = first_time(parsed, stretch)
    if first is None or first <= stretch.start_utc or parsed.is_from_start:
        return None
    if "read_at_utc" in parsed.rows.columns and first - timedelta(minutes=rhythm_minutes(parsed)) <= stretch.start_utc:
        return None
    return Period(stretch.start_utc, first)


def rhythm_minutes(parsed: ParsedAnswer) -> int:
    """The usual distance of readings."""
    rhythm = law.rhythm_of(parsed.rows["read_at_utc"].to_list()) if "read_at_utc" in parsed.rows.columns else None
    return rhythm // timedelta(minutes=1) if rhythm else law.QUARTER_HOUR_MINUTES


def minutes_at(parsed: ParsedAnswer, at: datetime) -> int | None:
    """The step of an answer's intervals around an instant: that of the last one before it, or of the first one."""
    rows = parsed.rows
    if rows.is_empty() or "interval_end_utc" not in rows.columns:
        return parsed.interval_minutes
    lengths = rows.sort("interval_start_utc").select(
        "interval_start_utc", pl.col("interval_end_utc") - pl.col("interval_start_utc")
    )
    before = lengths.filter(pl.col("interval_start_utc") < at)
    length: timedelta = (before.tail(1) if before.height else lengths.head(1)).item(0, 1)
    return law.DAILY_MINUTES if length >= timedelta(hours=23) else length // timedelta(minutes=1)


def span_of(parsed: ParsedAnswer, asked: Period) -> timedelta | None:
    """How far an answer reaches from the start of what was asked."""
    last = parsed.rows["interval_end_utc" if "interval_end_utc" in parsed.rows.columns else "read_at_utc"].max()
    return last - asked.start_utc if isinstance(last, datetime) else None


def _holds(outer: Period, inner: Period) -> bool:
    return outer.start_utc <= inner.start_utc and inner.end_utc <= outer.end_utc
