"""Committing answers of series: many days at once, in one frame of which the day is part of the key.

An answer is about a month, so its days are merged, judged and read together, and only written one by one. How many
days at once is bounded by their rows: an account of thousands of meters takes few, a small one a whole month.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import date

import polars as pl

from climkit_pipeline.ingest.claims import Claim, Key, claims_by_day, coverage_after, subjects_frame
from climkit_pipeline.ingest.commit_report import CommitReport
from climkit_pipeline.ingest.landing import Landed
from climkit_pipeline.ingest.parsing import SeriesAnswer, parse_series
from climkit_pipeline.ingest.window_edges import findings_of_edges
from climkit_pipeline.lake import coverage as law
from climkit_pipeline.lake.coverage import DayCoverage
from climkit_pipeline.lake.day_files import (
    by_day,
    current_rows,
    merge_versions,
    overtaken_rows,
    read_coverage,
    read_days,
    write_coverage_day,
    write_day,
)
from climkit_pipeline.lake.first_days import first_days_with_rows
from climkit_pipeline.lake.forgotten import Tombstone, read_tombstones, without_forgotten
from climkit_pipeline.lake.layout import Layout
from climkit_pipeline.lake.parquet import SeriesOfFiles
from climkit_pipeline.lake.schemas import Dataset

ROWS_AT_ONCE = 250_000
"""What a merge may hold, unless a single day has more; chosen, not measured: it bounds memory."""


def commit_series(layout: Layout, dataset: Dataset, landed: Sequence[Landed], report: CommitReport) -> None:
    """Commit answers of one series, given in the order of their arrival, and count them into ``report``."""
    answers = parse_series(layout, dataset, landed)
    earlier = _first_days(layout, dataset, answers)
    tombstones = read_tombstones(layout)
    rows = without_forgotten(_rows(dataset, answers), dataset, tombstones)
    report.rows += rows.height
    for answer in answers:
        report.findings += answer.findings
    claims = _not_forgotten(claims_by_day(answers), tombstones)
    coverage = read_coverage(layout, dataset, claims)
    for days in _some_days(claims, coverage, rows):
        are_these = pl.col("local_date").is_between(days[0], days[-1])
        _commit_days(
            layout,
            dataset,
            days,
            answered=rows.filter(are_these),
            claims=[claim for day in days for claim in claims[day]],
            coverage=coverage.filter(are_these),
            earlier=earlier,
            report=report,
        )
    if dataset.kind == "interval":
        report.findings += findings_of_edges(layout, dataset, answers)


def _not_forgotten(
    claims: Mapping[date, Sequence[Claim]], tombstones: Sequence[Tombstone]
) -> dict[date, Sequence[Claim]]:
    """A window may reach over days that are forgotten: nothing is claimed of them."""
    kept = {
        day: [claim for claim in of_day if not any(each.covers(*claim.key[1:], day) for each in tombstones)]
        for day, of_day in claims.items()
    }
    return {day: of_day for day, of_day in kept.items() if of_day}


def _rows(dataset: Dataset, answers: Sequence[SeriesAnswer]) -> pl.DataFrame:
    columns = {name: kind for name, kind in dataset.schema.items() if name != "superseded_at_utc"}
    empty = pl.DataFrame(schema={"local_date": pl.Date, **columns})
    return pl.concat([empty, *(answer.parsed.rows for answer in answers if answer.parsed)])


def _first_days(layout: Layout, dataset: Dataset, answers: Sequence[SeriesAnswer]) -> dict[tuple[str, str], date]:
    """The first day with rows by site and subject, those of ``answers`` included."""
    firsts = first_days_with_rows(layout, dataset)
    for answer in answers:
        first = answer.parsed.rows["local_date"].min() if answer.parsed else None
        if isinstance(first, date):
            subject = answer.landed.site_id, answer.landed.subject_id
            firsts[subject] = min(firsts.get(subject, first), first)
    return firsts


def _some_days(days: Mapping[date, object], coverage: pl.DataFrame, rows: pl.DataFrame) -> Iterator[list[date]]:
    """The days in order, so many at a time that what is held and what was answered fits into a merge."""
    heights = Counter(dict(rows.group_by("local_date").len().iter_rows()))
    heights.update(dict(coverage.group_by("local_date").agg(pl.col("received").sum()).iter_rows()))
    some: list[date] = []
    for day in days:
        if some and sum(heights[each] for each in some) + heights[day] > ROWS_AT_ONCE:
            yield some
            some = []
        some.append(day)
    if some:
        yield some


def _commit_days(
    layout: Layout,
    dataset: Dataset,
    days: Sequence[date],
    *,
    answered: pl.DataFrame,
    claims: Sequence[Claim],
    coverage: pl.DataFrame,
    earlier: Mapping[tuple[str, str], date],
    report: CommitReport,
) -> None:
    asked = subjects_frame(dataset, claims)
    asked_for = asked.rename({dataset.subject: "subject_id"})
    known = _by_key(coverage.join(asked_for, on=asked_for.columns, how="semi"))
    before = read_days(layout, dataset, days)
    after = _merged(dataset, before, answered, claims, known=known, coverage=coverage, asked=asked)
    judged = coverage_after(dataset, claims, known, versions=after, asked=asked, earlier=earlier)
    covered = pl.concat([coverage.join(asked_for, on=asked_for.columns, how="anti"), _to_frame(judged)])
    if after is not before:
        report.count_changes(dataset, before, after)
    rows_before, rows_after, coverage_of = by_day(before), by_day(after), by_day(covered)
    coverage_files = SeriesOfFiles()
    for day in days:
        if after is not before and day in rows_after and not _is_equal(rows_before.get(day), rows_after[day]):
            write_day(layout, dataset, day, rows_after[day])
            report.days_written.add((dataset.name, day))
        write_coverage_day(layout, dataset, day, coverage_of[day], coverage_files)


def _is_equal(before: pl.DataFrame | None, after: pl.DataFrame) -> bool:
    return before is not None and after.equals(before)


def _by_key(coverage: pl.DataFrame) -> dict[Key, DayCoverage]:
    rows = zip(coverage["local_date"], law.rows_of(coverage), strict=True)
    return {(day, row.site_id, row.subject_id): row for day, row in rows}


def _to_frame(coverage: Mapping[Key, DayCoverage]) -> pl.DataFrame:
    days = pl.Series("local_date", [day for day, _, _ in coverage], dtype=pl.Date)
    return law.to_frame(coverage.values()).insert_column(0, days)


def _merged(
    dataset: Dataset,
    before: pl.DataFrame,
    answered: pl.DataFrame,
    claims: Sequence[Claim],
    *,
    known: Mapping[Key, DayCoverage],
    coverage: pl.DataFrame,
    asked: pl.DataFrame,
) -> pl.DataFrame:
    """All versions of some days after what was answered about them; ``before`` itself if nothing changed."""
    versions = before
    if not answered.is_empty():
        last_asked = coverage.select("local_date", "site_id", "subject_id", "last_asked_at_utc")
        last_asked = last_asked.rename({"subject_id": dataset.subject})
        versions = merge_versions(dataset, versions, answered, last_asked=last_asked)
    overtaken = overtaken_rows(dataset, versions, asked)
    for withdrawn in (_withdrawn(dataset, versions, answered, claims, known), overtaken):
        if withdrawn is not None:
            versions = merge_versions(dataset, versions, answered.clear(), withdrawn=withdrawn)
    return versions


def _withdrawn(
    dataset: Dataset,
    versions: pl.DataFrame,
    answered: pl.DataFrame,
    claims: Sequence[Claim],
    known: Mapping[Key, DayCoverage],
) -> pl.DataFrame | None:
    """Keys of current rows that two answers in a row lacked, with the instant of the second; None if there are none."""
    gone_from = [
        (*claim.key, claim.withdraws.start_utc, claim.withdraws.end_utc, claim.landed.received_at_utc)
        for claim in claims
        if claim.withdraws is not None
        and not (claim.key in known and known[claim.key].last_asked_at_utc > claim.landed.received_at_utc)
    ]
    if not gone_from:
        return None
    instant = versions.schema["fetched_at_utc"]
    subject = {"local_date": pl.Date, "site_id": pl.String, dataset.subject: pl.String}
    stretches = pl.DataFrame(
        gone_from, schema={**subject, "from_utc": instant, "until_utc": instant, "lacked_at_utc": instant}, orient="row"
    )
    start, key = pl.col("interval_start_utc"), ["local_date", *dataset.key]
    own = current_rows(versions).join(stretches, on=list(subject))
    own = own.filter((start >= pl.col("from_utc")) & (start < pl.col("until_utc")))
    gone = own.join(answered, on=key, how="anti").sort("lacked_at_utc").unique(key, keep="first", maintain_order=True)
    return None if gone.is_empty() else gone.select(*key, fetched_at_utc=pl.col("lacked_at_utc"))
