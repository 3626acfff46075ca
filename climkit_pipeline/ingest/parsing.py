"""What landed answers hold: the rows of each, what it withdraws, and what is odd in it.

Here: choosing the parser, and what a series' answers tell only together. Not here: what a row means (``intervals``,
``readings``, ``snapshots``), and what becomes of it (``commit``).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any
from zoneinfo import ZoneInfo

import polars as pl

from climkit_pipeline.api.json_text import decoded
from climkit_pipeline.domain.periods import ONE_DAY, QUARTER_HOUR, Period, dates_between, local_days
from climkit_pipeline.errors import UnexpectedPayloadError
from climkit_pipeline.ingest import intervals, readings, snapshots
from climkit_pipeline.ingest.frames import Finding, ParsedAnswer
from climkit_pipeline.ingest.landing import Landed
from climkit_pipeline.lake.day_files import read_coverage
from climkit_pipeline.lake.layout import Layout
from climkit_pipeline.lake.schemas import Dataset


@dataclass(frozen=True, slots=True)
class FoundIn:
    """Something odd, and the answer that it was found in."""

    landed: Landed
    finding: Finding

    def as_row(self) -> dict[str, Any]:
        """The row of the journal."""
        days = {"first_day": self.landed.first_day, "last_day": self.landed.last_day}
        return self.finding.as_row(self.landed.received_at_utc) | days


@dataclass(frozen=True, slots=True)
class SeriesAnswer:
    """A landed answer of a series and what it holds; a call that failed holds nothing."""

    landed: Landed
    parsed: ParsedAnswer | None = None
    withdraws: Period | None = None
    """Where a repeated call lacks rows just as the one before it did: what is held there is gone."""

    @property
    def findings(self) -> list[FoundIn]:
        """What is odd in it."""
        return [FoundIn(self.landed, finding) for finding in self.parsed.findings] if self.parsed else []


def parse_series(layout: Layout, dataset: Dataset, landed: Sequence[Landed]) -> list[SeriesAnswer]:
    """Each answer of a series with its rows, in the order given, which is that of arrival.

    Reads coverage: the step of a short answer is known from the days around it.
    """
    is_interval = dataset.kind == "interval"
    steps = known_steps(layout, dataset, [answer for answer in landed if answer.parsed is None])
    held: dict[tuple[str, str], Landed] = {}
    answers = []
    for answer in landed:
        if answer.kind in {"failure", "unanswered"}:
            answers.append(SeriesAnswer(answer))
            continue
        subject = answer.site_id, answer.subject_id
        parsed = answer.parsed or parse_landed(dataset, answer, steps.of(answer))
        withdraws = None
        if answer.kind == "plan" and not parsed.rows.is_empty():
            held[subject] = answer
        elif answer.kind == "repeat" and subject in held and is_interval:
            withdraws = _lacking(held[subject], answer, parsed)
        answers.append(SeriesAnswer(answer, parsed, withdraws))
    return answers


def _lacking(plan: Landed, repeat: Landed, repeated: ParsedAnswer) -> Period | None:
    """The stretch that two answers in a row are silent about.

    What comes before and after the rows of the second may be cut off: only what lies between some of them is gone.
    """
    first, last = (getattr(repeated.rows["interval_start_utc"], bound)() for bound in ("min", "max"))
    asked_from = repeat.kept_from_utc or repeat.asked_from_utc
    if asked_from is None or repeat.asked_until_utc is None or not isinstance(last, datetime):
        return None  # an answer without rows withdraws nothing
    since = asked_from if repeated.is_from_start or asked_from == repeat.asked_from_utc else max(asked_from, first)
    until = min(repeat.asked_until_utc - QUARTER_HOUR, last)
    is_inside = plan.first_day <= repeat.first_day and repeat.last_day <= plan.last_day
    return Period(since, until) if is_inside and until > since else None


@dataclass(frozen=True, slots=True)
class KnownSteps:
    """The steps of intervals, in minutes, that coverage knows from earlier answers: a lone row cannot tell its own."""

    by_subject: Mapping[tuple[str, str], Mapping[date, int]]
    """The step of each day with rows, oldest day first."""

    def of(self, answer: Landed) -> intervals.Steps:
        """What is known of an answer's steps before it is read."""
        days = self.by_subject.get((answer.site_id, answer.subject_id), {})
        first, last = answer.first_day - ONE_DAY, answer.last_day + ONE_DAY
        around = [minutes for day, minutes in days.items() if first <= day <= last]
        return intervals.Steps(
            certain=answer.interval_minutes,
            before=days.get(first),
            after=days.get(last),
            around=around[-1] if around else None,
            stated=answer.stated_minutes,
        )


def known_steps(layout: Layout, dataset: Dataset, landed: Sequence[Landed]) -> KnownSteps:
    """What coverage knows of the steps of those answers that do not state theirs."""
    days = {
        day
        for answer in landed
        if dataset.kind == "interval" and answer.interval_minutes is None
        for day in dates_between(answer.first_day - ONE_DAY, answer.last_day + ONE_DAY)
    }
    if not days:
        return KnownSteps({})
    columns = ("site_id", "subject_id", "interval_minutes", "received")
    known = read_coverage(layout, dataset, sorted(days), columns)
    steps: dict[tuple[str, str], dict[date, int]] = defaultdict(dict)
    of_rows = known.filter((pl.col("interval_minutes") > 0) & (pl.col("received") > 0)).drop("received")
    for day, site_id, subject_id, minutes in of_rows.iter_rows():
        steps[site_id, subject_id][day] = minutes
    return KnownSteps(steps)


def parse_landed(dataset: Dataset, answer: Landed, steps: intervals.Steps | None = None) -> ParsedAnswer:
    """The rows of one landed answer of a series."""
    if answer.asked_from_utc is None or answer.asked_until_utc is None:
        raise UnexpectedPayloadError(f"{answer.dataset}: a landed answer that does not say what was asked")
    zone = ZoneInfo(answer.timezone)
    wanted = local_days(answer.first_day, answer.last_day, zone)
    if answer.kept_from_utc is not None:
        wanted = Period(max(wanted.start_utc, answer.kept_from_utc), wanted.end_utc)
    asked = Period(answer.asked_from_utc, answer.asked_until_utc)
    payload = decoded(answer.body)
    if dataset.kind == "interval":
        return intervals.parse_answer(
            dataset,
            payload,
            site_id=answer.site_id,
            subject_id=answer.subject_id,
            asked=asked,
            wanted=wanted,
            zone=zone,
            fetched_at=answer.received_at_utc,
            steps=steps or KnownSteps({}).of(answer),
        )
    return readings.parse_answer(
        dataset,
        payload,
        site_id=answer.site_id,
        subject_id=answer.subject_id,
        asked=asked,
        wanted=wanted,
        zone=zone,
        fetched_at=answer.received_at_utc,
    )


def parse_listing(dataset: Dataset, answer: Landed) -> pl.DataFrame:
    """The listed rows of one landed answer of a snapshot."""
    return snapshots.parse_answer(
        dataset,
        decoded(answer.body),
        site_id=answer.site_id,
        timezone=answer.timezone,
        is_timezone_assumed=answer.is_timezone_assumed,
        fetched_at=answer.received_at_utc,
    )
