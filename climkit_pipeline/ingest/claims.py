"""What an answer claims about each of its days, and the coverage of a day after all that was claimed about it.

Here: judging days. Not here: how their rows change (``series_commit``), or what a state means (``lake.coverage``).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from zoneinfo import ZoneInfo

import polars as pl

from climkit_pipeline.domain.periods import Period, dates_between, local_day, local_month
from climkit_pipeline.ingest.landing import Landed
from climkit_pipeline.ingest.parsing import SeriesAnswer
from climkit_pipeline.lake import coverage as law
from climkit_pipeline.lake.coverage import DayCoverage
from climkit_pipeline.lake.day_files import current_rows
from climkit_pipeline.lake.held_times import HeldTimes, held_times
from climkit_pipeline.lake.schemas import Dataset

Key = tuple[date, str, str]
"""Local day, site and subject."""


@dataclass(frozen=True, slots=True)
class Claim:
    """One landed answer's claim on one day."""

    landed: Landed
    date: date
    day: Period
    minutes: int | None
    is_whole_day: bool
    withdraws: Period | None = None
    """Where a repeated call lacks rows just as the one before it did: what is held there is gone."""

    @property
    def key(self) -> Key:
        """Which day of what it is about."""
        return self.date, self.landed.site_id, self.landed.subject_id


def claims_by_day(answers: Iterable[SeriesAnswer]) -> dict[date, list[Claim]]:
    """Every claim of ``answers``, in their order, by local day, oldest day first."""
    bounds: dict[tuple[date, str], Period] = {}
    claims: dict[date, list[Claim]] = defaultdict(list)
    for answer in answers:
        entry = answer.landed
        minutes = answer.parsed.interval_minutes if answer.parsed else None
        for day in dates_between(entry.first_day, entry.last_day):
            if (day, entry.timezone) not in bounds:
                bounds[day, entry.timezone] = local_day(day, ZoneInfo(entry.timezone))
            period = bounds[day, entry.timezone]
            claims[day].append(Claim(entry, day, period, minutes, _covers(entry, period), answer.withdraws))
    return dict(sorted(claims.items()))


def _covers(answer: Landed, day: Period) -> bool:
    if answer.asked_from_utc is None or answer.asked_until_utc is None:
        return False
    return (answer.kept_from_utc or answer.asked_from_utc) <= day.start_utc and day.end_utc <= answer.asked_until_utc


def subjects_frame(dataset: Dataset, claims: Iterable[Claim]) -> pl.DataFrame:
    """What the claims are about, each once: ``local_date``, ``site_id`` and the subject column."""
    columns = dict.fromkeys(("site_id", dataset.subject), pl.String)
    keys = list(dict.fromkeys(claim.key for claim in claims))
    return pl.DataFrame(keys, schema={"local_date": pl.Date, **columns}, orient="row")


def coverage_after(
    dataset: Dataset,
    claims: Sequence[Claim],
    known: Mapping[Key, DayCoverage],
    *,
    versions: pl.DataFrame,
    asked: pl.DataFrame,
    earlier: Mapping[tuple[str, str], date],
) -> dict[Key, DayCoverage]:
    """The coverage of every day and subject that ``claims`` are about, given all versions of those days.

    ``asked`` holds the same subjects as a frame; ``earlier`` the first day with rows by site and subject.
    """
    by = asked.columns
    own = current_rows(versions).join(asked, on=by, how="semi")
    end = "interval_end_utc" if dataset.kind == "interval" else None
    held = held_times(own, dataset.time or dataset.subject, by, end)
    changed_at = _changed_at(by, versions, claims)
    coverage = dict(known)
    for claim in claims:
        coverage[claim.key] = _after(
            dataset, claim, coverage.get(claim.key), held=held.get(claim.key), changed_at=changed_at, earlier=earlier
        )
    return coverage


def _changed_at(by: Sequence[str], versions: pl.DataFrame, claims: Sequence[Claim]) -> set[tuple[Key, datetime]]:
    """Which answers changed something, read off the versions: a commit repeated after a kill sees the same."""
    received = {claim.landed.received_at_utc for claim in claims}
    instants = pl.Series(list(received)).cast(versions.schema["fetched_at_utc"])
    changes = [
        versions.filter(pl.col(column).is_in(instants.implode())).select(*by, at=pl.col(column))
        for column in ("fetched_at_utc", "superseded_at_utc")
    ]
    return {
        ((day, site_id, subject_id), at) for day, site_id, subject_id, at in pl.concat(changes).unique().iter_rows()
    }


def _after(
    dataset: Dataset,
    claim: Claim,
    known: DayCoverage | None,
    *,
    held: HeldTimes | None,
    changed_at: set[tuple[Key, datetime]],
    earlier: Mapping[tuple[str, str], date],
) -> DayCoverage:
    day, site_id, subject_id = claim.key
    asked_at = claim.landed.received_at_utc
    if claim.landed.kind in {"failure", "unanswered"}:
        # A front that is missing was filed as empty by the answer that lacks it.
        is_known = claim.landed.kind == "failure" or (known is not None and known.received > 0)
        return law.after_failure(
            known if is_known else None,
            site_id=site_id,
            subject_id=subject_id,
            asked_at=asked_at,
            detail=claim.landed.detail or "the call failed",
        )
    first = earlier.get((site_id, subject_id))
    is_known_before = first is not None and first < day
    # An answer about a day that is older than the newest one says nothing about late data: judge by the newest.
    judged_at = max(asked_at, known.last_asked_at_utc) if known else asked_at
    if dataset.kind == "interval":
        # Rows that are held tell more than the answer, whose usual step may be that of other days.
        minutes = (
            (held.shortest_minutes if held else None)
            or claim.minutes
            or (known.interval_minutes if known else None)
            or law.QUARTER_HOUR_MINUTES
        )
        assessment = law.assess_held_intervals(
            claim.day,
            held,
            minutes=minutes,
            asked_at=judged_at,
            exists_from=claim.landed.exists_from_utc,
            is_known_before=is_known_before,
        )
    else:
        minutes = None
        assessment = law.assess_held_readings(claim.day, held, asked_at=judged_at, is_known_before=is_known_before)
    return law.after_answer(
        known,
        assessment,
        site_id=site_id,
        subject_id=subject_id,
        asked_at=asked_at,
        day_end=claim.day.end_utc,
        month_end=local_month(day, ZoneInfo(claim.landed.timezone)).end_utc,
        has_changed=(claim.key, asked_at) in changed_at,
        is_whole_day=claim.is_whole_day,
        minutes=minutes,
        detail=claim.landed.detail,
    )
