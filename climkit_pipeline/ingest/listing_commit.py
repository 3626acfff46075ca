"""Committing listings: the snapshots of today and of the past days that have none, all days at once.

A listing fills the day it was fetched, and each past day of its range without a snapshot. One site's listings of a day
follow one another in the order of their arrival; all others are merged together.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from datetime import date
from zoneinfo import ZoneInfo

import polars as pl

from climkit_pipeline.domain.periods import dates_between
from climkit_pipeline.ingest.commit_report import CommitReport
from climkit_pipeline.ingest.landing import Landed
from climkit_pipeline.ingest.parsing import parse_listing
from climkit_pipeline.lake import coverage as law
from climkit_pipeline.lake.coverage import DayCoverage
from climkit_pipeline.lake.day_files import (
    by_day,
    current_rows,
    merge_versions,
    read_coverage,
    read_days,
    write_coverage_day,
    write_day,
)
from climkit_pipeline.lake.layout import Layout
from climkit_pipeline.lake.parquet import SeriesOfFiles
from climkit_pipeline.lake.schemas import Dataset

Coverage = dict[date, dict[str, DayCoverage]]
"""By day and site."""


def commit_listings(layout: Layout, dataset: Dataset, landed: Sequence[Landed], report: CommitReport) -> None:
    """Commit answers of one kind of listing, given in the order of their arrival, and count them into ``report``."""
    days = sorted({day for answer in landed for day in dates_between(answer.first_day, answer.last_day)})
    known = _by_day_and_site(read_coverage(layout, dataset, days), days)
    coverage = {day: dict(sites) for day, sites in known.items()}
    before = after = read_days(layout, dataset, days)
    for answers in _rounds(landed):
        after = _merged(dataset, after, answers, coverage)
    rows_before, rows_after = by_day(before), by_day(after)
    data_files, coverage_files = SeriesOfFiles(), SeriesOfFiles()
    for day in days:
        if after is not before and day in rows_after:
            rows = rows_after[day]
            if day not in rows_before or not rows.equals(rows_before[day]):
                write_day(layout, dataset, day, rows, data_files)
                report.days_written.add((dataset.name, day))
        if coverage[day] != known[day]:
            write_coverage_day(layout, dataset, day, law.to_frame(coverage[day].values()), coverage_files)


def _by_day_and_site(frame: pl.DataFrame, days: Iterable[date]) -> Coverage:
    coverage: Coverage = {day: {} for day in days}
    for day, row in zip(frame["local_date"], law.rows_of(frame), strict=True):
        coverage[day][row.site_id] = row
    return coverage


def _rounds(landed: Sequence[Landed]) -> Iterator[list[Landed]]:
    """Answers that can be merged together: those of one site that share a day follow one another."""
    rounds: dict[int, list[Landed]] = defaultdict(list)
    next_of: dict[tuple[str, date], int] = defaultdict(int)
    for answer in landed:
        subjects = [(answer.site_id, day) for day in dates_between(answer.first_day, answer.last_day)]
        number = max(next_of[subject] for subject in subjects)
        rounds[number].append(answer)
        next_of.update(dict.fromkeys(subjects, number + 1))
    yield from rounds.values()


def _merged(dataset: Dataset, versions: pl.DataFrame, answers: Sequence[Landed], coverage: Coverage) -> pl.DataFrame:
    """All versions after listings that share no day of a site; what it says of days goes into ``coverage``."""
    listed, last_listed, unlisted = [], [], []
    for answer in answers:
        if answer.kind == "failure":
            _note_failure(answer, coverage)
            continue
        rows = parse_listing(dataset, answer)
        late, in_time = _days_to_fill(answer, coverage)
        listed.append(_on_days(rows, [*late, *in_time]))
        for day, listed_at in late.items():
            last_listed.append(_last_listed(dataset, _on_days(rows, [day]), listed_at))
        # An empty listing withdraws nothing.
        if not rows.is_empty() and in_time:
            unlisted.append(_unlisted(dataset, versions, _on_days(rows, in_time), answer))
        for day in (*late, *in_time):
            coverage[day][answer.site_id] = _after(coverage[day].get(answer.site_id), answer, rows.height)
    if not listed:
        return versions
    withdrawn = pl.concat(unlisted) if unlisted else None
    return merge_versions(
        dataset,
        versions,
        pl.concat(listed),
        last_asked=pl.concat(last_listed) if last_listed else None,
        withdrawn=None if withdrawn is None or withdrawn.is_empty() else withdrawn,
    )


def _note_failure(answer: Landed, coverage: Coverage) -> None:
    for day in dates_between(answer.first_day, answer.last_day):
        if answer.site_id not in coverage[day]:
            coverage[day][answer.site_id] = law.after_failure(
                None,
                site_id=answer.site_id,
                subject_id=answer.site_id,
                asked_at=answer.received_at_utc,
                detail=answer.detail or "the listing failed",
            )


def _days_to_fill(answer: Landed, coverage: Coverage) -> tuple[dict[date, DayCoverage], list[date]]:
    """The days that a listing is for: those of which a later one is known, with what is known; and the others."""
    today = answer.received_at_utc.astimezone(ZoneInfo(answer.timezone)).date()
    late, in_time = {}, []
    for day in dates_between(answer.first_day, answer.last_day):
        known = coverage[day].get(answer.site_id)
        if known is not None and known.state == law.COMPLETE and day != today:
            continue  # the snapshot of a past day never changes
        if known is not None and answer.received_at_utc < known.last_asked_at_utc:
            late[day] = known
        else:
            in_time.append(day)
    return late, in_time


def _on_days(rows: pl.DataFrame, days: Sequence[date]) -> pl.DataFrame:
    """The same rows for each day, ``local_date`` first."""
    return pl.DataFrame({"local_date": days}, schema={"local_date": pl.Date}).join(rows, how="cross")


def _last_listed(dataset: Dataset, rows: pl.DataFrame, listed: DayCoverage) -> pl.DataFrame:
    """When the subjects of a listing that arrived late were last listed."""
    at = pl.lit(listed.last_asked_at_utc).dt.cast_time_unit("us")
    subject = dict.fromkeys(("local_date", "site_id", dataset.subject))
    return rows.select(list(subject)).unique().with_columns(last_asked_at_utc=at)


def _unlisted(dataset: Dataset, versions: pl.DataFrame, rows: pl.DataFrame, answer: Landed) -> pl.DataFrame:
    """Rows of the site that an earlier listing of the same day had and this one lacks."""
    key = ["local_date", *dataset.key]
    own = current_rows(versions).filter(pl.col("site_id") == answer.site_id)
    own = own.join(rows.select("local_date").unique(), on="local_date", how="semi")
    gone = own.join(rows, on=key, how="anti").select(key)
    return gone.with_columns(pl.lit(answer.received_at_utc).dt.cast_time_unit("us").alias("fetched_at_utc"))


def _after(known: DayCoverage | None, answer: Landed, rows: int) -> DayCoverage:
    at = answer.received_at_utc
    return DayCoverage(
        answer.site_id,
        answer.site_id,
        first_asked_at_utc=known.first_asked_at_utc if known else at,
        last_asked_at_utc=max(at, known.last_asked_at_utc) if known else at,
        received=rows,
        state=law.COMPLETE,
    )
