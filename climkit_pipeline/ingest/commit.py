"""Committing: landed answers become versions in day files, and coverage.

Here: merging rows and judging days. Not here: what an answer holds (``parsing``).

Order per dataset and day: data (if a row changed), then coverage; what landed is deleted when all is written.
Repeating a commit changes nothing, so a process may die anywhere in between.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any
from zoneinfo import ZoneInfo

import polars as pl

from climkit_pipeline.domain.periods import Period, dates_between, local_day, local_month
from climkit_pipeline.files import file_lock
from climkit_pipeline.ingest.landing import Landed, LandingFolder
from climkit_pipeline.ingest.parsing import FoundIn, parse_listing, parse_series
from climkit_pipeline.lake import coverage as law
from climkit_pipeline.lake import journals
from climkit_pipeline.lake.coverage import DayCoverage
from climkit_pipeline.lake.day_files import (
    current_rows,
    merge_versions,
    overtaken_rows,
    read_coverage_day,
    read_day,
    write_coverage_day,
    write_day,
)
from climkit_pipeline.lake.first_days import first_days_with_rows
from climkit_pipeline.lake.layout import Layout
from climkit_pipeline.lake.schemas import API_CALLS, DATASETS, FINDINGS, Dataset

logger = logging.getLogger(__name__)


@dataclass
class CommitReport:
    """What a commit did."""

    answers: int = 0
    rows: int = 0
    """Rows of the answers, as far as they belong to the days wanted."""
    rows_new: int = 0
    """Intervals and readings that were not known before."""
    rows_revised: int = 0
    """Values that another replaced, or that were withdrawn."""
    days_written: set[tuple[str, date]] = field(default_factory=set)
    findings: list[FoundIn] = field(default_factory=list)

    def count_changes(self, dataset: Dataset, before: pl.DataFrame, after: pl.DataFrame) -> None:
        """Count what changed in the versions of one day."""
        key = list(dataset.key)
        self.rows_new += after.select(key).n_unique() - before.select(key).n_unique()
        closed_after, closed_before = (versions["superseded_at_utc"].count() for versions in (after, before))
        self.rows_revised += closed_after - closed_before

    def add(self, other: CommitReport) -> None:
        """Count another commit in."""
        self.answers += other.answers
        self.rows += other.rows
        self.rows_new += other.rows_new
        self.rows_revised += other.rows_revised
        self.days_written |= other.days_written
        self.findings += other.findings


@dataclass(frozen=True, slots=True)
class _Asked:
    """One landed answer's claim on one day."""

    landed: Landed
    day: Period
    minutes: int | None
    is_whole_day: bool
    withdraws: Period | None = None
    """Where a repeated call lacks rows just as the one before it did: what is held there is gone."""

    @property
    def subject(self) -> tuple[str, str]:
        return self.landed.site_id, self.landed.subject_id


def commit_folder(layout: Layout, folder: LandingFolder) -> CommitReport:
    """Commit everything in ``folder`` and empty it."""
    calls = folder.read_calls()
    report = commit(layout, folder.read())
    journals.append(layout, API_CALLS, [_call_row(folder.path.name, call) for call in calls])
    folder.clear()
    return report


def _call_row(run_id: str, call: Mapping[str, Any]) -> dict[str, Any]:
    instants = {name: call[name] and datetime.fromisoformat(call[name]) for name in call if name.endswith("_utc")}
    return {"run_id": run_id, **call, **instants}


def commit(layout: Layout, landed: Sequence[Landed]) -> CommitReport:
    """Commit answers to the lake; any order and any repetition gives the same lake."""
    report = CommitReport(answers=len(landed))
    by_dataset: dict[str, list[Landed]] = defaultdict(list)
    for answer in sorted(landed, key=lambda entry: entry.received_at_utc):
        by_dataset[answer.dataset].append(answer)
    for name, dataset in DATASETS.items():
        if by_dataset[name]:
            with file_lock(layout.commit_lock(name)):
                if dataset.kind == "snapshot":
                    _commit_snapshots(layout, dataset, by_dataset[name], report)
                else:
                    _commit_series(layout, dataset, by_dataset[name], report)
    journals.append(layout, FINDINGS, [found.as_row() for found in report.findings])
    for found in report.findings:
        logger.warning("%s", found.finding)
    return report


# --- series -----------------------------------------------------------------------------------------------------


def _commit_series(layout: Layout, dataset: Dataset, landed: Sequence[Landed], report: CommitReport) -> None:
    earlier = first_days_with_rows(layout, dataset)
    frames: list[pl.DataFrame] = []
    asked_by_day: dict[date, list[_Asked]] = defaultdict(list)
    for answer in parse_series(layout, dataset, landed):
        entry, parsed = answer.landed, answer.parsed
        subject = entry.site_id, entry.subject_id
        zone = ZoneInfo(entry.timezone)
        report.findings += answer.findings
        if parsed is not None:
            frames.append(parsed.rows)
            report.rows += parsed.rows.height
            for day in parsed.rows["local_date"].unique():
                earlier[subject] = min(earlier.get(subject, day), day)
        for day in dates_between(entry.first_day, entry.last_day):
            bounds = local_day(day, zone)
            minutes = parsed.interval_minutes if parsed else None
            asked_by_day[day].append(_Asked(entry, bounds, minutes, _covers(entry, bounds), answer.withdraws))
    rows = pl.concat(frames) if frames else None
    for day, asked in sorted(asked_by_day.items()):
        answered = None if rows is None else rows.filter(pl.col("local_date") == day).drop("local_date")
        _commit_day(layout, dataset, day, answered=answered, asked=asked, earlier=earlier, report=report)


def _covers(answer: Landed, day: Period) -> bool:
    if answer.asked_from_utc is None or answer.asked_until_utc is None:
        return False
    return answer.asked_from_utc <= day.start_utc and day.end_utc <= answer.asked_until_utc


def _commit_day(
    layout: Layout,
    dataset: Dataset,
    day: date,
    *,
    answered: pl.DataFrame | None,
    asked: Sequence[_Asked],
    earlier: dict[tuple[str, str], date],
    report: CommitReport,
) -> None:
    coverage = law.from_frame(read_coverage_day(layout, dataset, day))
    versions = read_day(layout, dataset, day)
    before = versions
    if answered is not None and not answered.is_empty():
        versions = merge_versions(dataset, versions, answered, last_asked=_last_asked(dataset, coverage))
    overtaken = overtaken_rows(dataset, versions, {entry.subject for entry in asked})
    for withdrawn in (_withdrawn(dataset, versions, answered, asked, coverage), overtaken):
        if withdrawn is not None:
            versions = merge_versions(dataset, versions, _nothing_answered(dataset), withdrawn=withdrawn)
    if not versions.equals(before):
        report.count_changes(dataset, before, versions)
        write_day(layout, dataset, day, versions)
        report.days_written.add((dataset.name, day))
    changed_at = _changed_at(dataset, versions, asked)
    instants = _instants_by_subject(dataset, versions, {entry.subject for entry in asked})
    for entry in asked:
        known = coverage.get(entry.subject)
        coverage[entry.subject] = _after(
            dataset, entry, known, instants=instants, changed_at=changed_at, earlier=earlier, day=day
        )
    write_coverage_day(layout, dataset, day, law.to_frame(coverage.values()))


def _withdrawn(
    dataset: Dataset,
    versions: pl.DataFrame,
    answered: pl.DataFrame | None,
    asked: Sequence[_Asked],
    coverage: dict[tuple[str, str], DayCoverage],
) -> pl.DataFrame | None:
    """Keys of current rows that two answers in a row lacked, with the instant of the second; None if there are none."""
    key = list(dataset.key)
    parts = []
    for entry in asked:
        known = coverage.get(entry.subject)
        if entry.withdraws is None or (known and known.last_asked_at_utc > entry.landed.received_at_utc):
            continue
        start, site_id, subject_id = pl.col("interval_start_utc"), *entry.subject
        own = current_rows(versions).filter(
            (pl.col("site_id") == site_id)
            & (pl.col(dataset.subject) == subject_id)
            & (start >= entry.withdraws.start_utc)
            & (start < entry.withdraws.end_utc)
        )
        gone = own.select(key) if answered is None else own.join(answered, on=key, how="anti").select(key)
        if not gone.is_empty():
            at = pl.lit(entry.landed.received_at_utc).dt.cast_time_unit("us")
            parts.append(gone.with_columns(at.alias("fetched_at_utc")))
    return pl.concat(parts).unique(key, keep="first") if parts else None


def _nothing_answered(dataset: Dataset) -> pl.DataFrame:
    return pl.DataFrame(schema={name: kind for name, kind in dataset.schema.items() if name != "superseded_at_utc"})


def _changed_at(dataset: Dataset, versions: pl.DataFrame, asked: Sequence[_Asked]) -> set[tuple[str, str, datetime]]:
    """Which answers changed something, read off the versions: a commit repeated after a kill sees the same."""
    instants = pl.Series([entry.landed.received_at_utc for entry in asked]).cast(versions.schema["fetched_at_utc"])
    changes = [
        versions.filter(pl.col(column).is_in(instants.implode())).select("site_id", dataset.subject, at=pl.col(column))
        for column in ("fetched_at_utc", "superseded_at_utc")
    ]
    return set(pl.concat(changes).unique().iter_rows())


def _last_asked(dataset: Dataset, coverage: dict[tuple[str, str], DayCoverage]) -> pl.DataFrame:
    frame = law.to_frame(coverage.values()).select("site_id", "subject_id", "last_asked_at_utc")
    return frame.rename({"subject_id": dataset.subject})


def _instants_by_subject(
    dataset: Dataset, versions: pl.DataFrame, subjects: Iterable[tuple[str, str]]
) -> dict[tuple[str, str], set[datetime]]:
    instants: dict[tuple[str, str], set[datetime]] = {subject: set() for subject in subjects}
    time = dataset.time or dataset.subject
    current = current_rows(versions).group_by("site_id", dataset.subject).agg(pl.col(time))
    for site_id, subject_id, times in current.iter_rows():
        if (site_id, subject_id) in instants:
            instants[site_id, subject_id] = set(times)
    return instants


def _after(
    dataset: Dataset,
    entry: _Asked,
    known: DayCoverage | None,
    *,
    instants: dict[tuple[str, str], set[datetime]],
    changed_at: set[tuple[str, str, datetime]],
    earlier: dict[tuple[str, str], date],
    day: date,
) -> DayCoverage:
    site_id, subject_id = entry.subject
    asked_at = entry.landed.received_at_utc
    if entry.landed.kind == "failure":
        return law.after_failure(
            known,
            site_id=site_id,
            subject_id=subject_id,
            asked_at=asked_at,
            detail=entry.landed.detail or "the call failed",
        )
    present = instants[entry.subject]
    first = earlier.get(entry.subject)
    is_known_before = first is not None and first < day
    # An answer about a day that is older than the newest one says nothing about late data: judge by the newest.
    judged_at = max(asked_at, known.last_asked_at_utc) if known else asked_at
    if dataset.kind == "interval":
        minutes = entry.minutes or (known.interval_minutes if known else None) or law.QUARTER_HOUR_MINUTES
        assessment = law.assess_intervals(
            entry.day,
            present,
            minutes=minutes,
            asked_at=judged_at,
            exists_from=entry.landed.exists_from_utc,
            is_known_before=is_known_before,
        )
    else:
        minutes = None
        assessment = law.assess_readings(entry.day, present, asked_at=judged_at, is_known_before=is_known_before)
    return law.after_answer(
        known,
        assessment,
        site_id=site_id,
        subject_id=subject_id,
        asked_at=asked_at,
        day_end=entry.day.end_utc,
        month_end=local_month(day, ZoneInfo(entry.landed.timezone)).end_utc,
        has_changed=(site_id, subject_id, asked_at) in changed_at,
        is_whole_day=entry.is_whole_day,
        minutes=minutes,
        detail=entry.landed.detail,
    )


# --- snapshots --------------------------------------------------------------------------------------------------


def _commit_snapshots(layout: Layout, dataset: Dataset, landed: Sequence[Landed], report: CommitReport) -> None:
    by_day: dict[date, list[Landed]] = defaultdict(list)
    for answer in landed:
        for day in dates_between(answer.first_day, answer.last_day):
            by_day[day].append(answer)
    parsed = {id(answer): parse_listing(dataset, answer) for answer in landed if answer.kind != "failure"}
    for day, answers in sorted(by_day.items()):
        coverage = law.from_frame(read_coverage_day(layout, dataset, day))
        versions = before = read_day(layout, dataset, day)
        known_before = dict(coverage)
        for answer in answers:
            key = (answer.site_id, answer.site_id)
            if answer.kind == "failure":
                if key not in coverage:
                    coverage[key] = law.after_failure(
                        None,
                        site_id=answer.site_id,
                        subject_id=answer.site_id,
                        asked_at=answer.received_at_utc,
                        detail=answer.detail or "the listing failed",
                    )
                continue
            is_today = answer.received_at_utc.astimezone(ZoneInfo(answer.timezone)).date() == day
            earlier = coverage.get(key)
            if earlier is not None and earlier.state == law.COMPLETE and not is_today:
                continue
            rows = parsed[id(answer)]
            is_late = earlier is not None and answer.received_at_utc < earlier.last_asked_at_utc
            versions = merge_versions(
                dataset,
                versions,
                rows,
                last_asked=_listed_at(dataset, rows, earlier) if is_late and earlier else None,
                withdrawn=None if is_late else _unlisted(dataset, versions, rows, answer),
            )
            coverage[key] = DayCoverage(
                answer.site_id,
                answer.site_id,
                first_asked_at_utc=earlier.first_asked_at_utc if earlier else answer.received_at_utc,
                last_asked_at_utc=max(answer.received_at_utc, earlier.last_asked_at_utc)
                if earlier
                else answer.received_at_utc,
                received=rows.height,
                state=law.COMPLETE,
            )
        if not versions.equals(before):
            write_day(layout, dataset, day, versions)
            report.days_written.add((dataset.name, day))
        if coverage != known_before:
            write_coverage_day(layout, dataset, day, law.to_frame(coverage.values()))


def _listed_at(dataset: Dataset, rows: pl.DataFrame, listed: DayCoverage) -> pl.DataFrame:
    """When the subjects of a listing that arrived late were last listed."""
    at = pl.lit(listed.last_asked_at_utc).dt.cast_time_unit("us")
    return rows.select(list(dict.fromkeys(("site_id", dataset.subject)))).unique().with_columns(last_asked_at_utc=at)


def _unlisted(dataset: Dataset, versions: pl.DataFrame, rows: pl.DataFrame, answer: Landed) -> pl.DataFrame | None:
    """Rows of the site that today's earlier listing had and this one lacks; an empty listing withdraws nothing."""
    if rows.is_empty():
        return None
    key = list(dataset.key)
    own = current_rows(versions).filter(pl.col("site_id") == answer.site_id)
    gone = own.join(rows, on=key, how="anti").select(key)
    if gone.is_empty():
        return None
    return gone.with_columns(pl.lit(answer.received_at_utc).dt.cast_time_unit("us").alias("fetched_at_utc"))
