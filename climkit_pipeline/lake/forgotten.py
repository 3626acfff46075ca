"""What was removed for good because it is personal, and must not come back: ``config/forgotten.csv``.

Here: the tombstones, counting and removing what they cover. Not here: who decides so (``cli.forgetting``).

A tombstone covers local days of one meter. Its rows are taken out of the lake, all versions of them, and no answer
brings them back: planning leaves these days out, and a commit drops what an answer holds of them. Coverage
keeps that the days were asked for, as ``empty``: it holds no values. So does the journal of whole months: that one was
stated, and not how much. Findings and comparisons stay, without the values that they quote.
"""

from __future__ import annotations

import csv
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, fields
from datetime import date
from pathlib import Path
from typing import Any

import polars as pl

from climkit_pipeline.domain.periods import ONE_DAY, next_month
from climkit_pipeline.errors import ConfigurationError
from climkit_pipeline.files import atomic_file, file_lock
from climkit_pipeline.lake import coverage as law
from climkit_pipeline.lake import journals
from climkit_pipeline.lake.day_files import days_on_disk, read_coverage_day, read_day, write_coverage_day, write_day
from climkit_pipeline.lake.layout import Layout
from climkit_pipeline.lake.parquet import write_parquet
from climkit_pipeline.lake.schemas import (
    ANSWER_COMPARISONS,
    FINDINGS,
    METER_INDICES,
    METER_INTERVALS,
    STATED_MONTHS,
    Dataset,
    Journal,
)

DATASETS = (METER_INTERVALS, METER_INDICES)
"""Series of single meters; those of a whole site are of nobody alone."""

MONTH_VALUES = ("total", "solar", "grid", "intervals_total")
"""What ``stated_months`` holds of a month."""

QUOTING_CODES = ("month_differs", "site_answer_differs")
"""Findings about a meter that quote its values; others tell instants."""
QUOTES = (
    (FINDINGS, "subject_id", "samples", pl.col("code").is_in(QUOTING_CODES)),
    (ANSWER_COMPARISONS, "meter_id", "sample", pl.lit(value=True)),
)
"""Journals, whom their rows are about, where they quote values, and which rows do."""


@dataclass(frozen=True)
class Tombstone:
    """Local days of a meter whose values are gone for good, both included."""

    site_id: str
    meter_id: str
    first_day: date
    last_day: date
    forgotten_on: date
    who: str
    why: str

    def covers(self, site_id: str, subject_id: str, day: date) -> bool:
        """Whether it is about a day of a subject."""
        return (site_id, subject_id) == (self.site_id, self.meter_id) and self.first_day <= day <= self.last_day

    def is_within(self, first_day: date, last_day: date) -> bool:
        """Whether it is about one of some days, both included."""
        return self.first_day <= last_day and first_day <= self.last_day

    def is_within_month(self, month: date) -> bool:
        """Whether it is about a day of a month, given by its first day."""
        return self.is_within(month, next_month(month) - ONE_DAY)


def tombstone_file(layout: Layout) -> Path:
    """Where they are kept; to delete a line lets the next backfill fetch again."""
    return layout.config / "forgotten.csv"


def read_tombstones(layout: Layout) -> list[Tombstone]:
    """All of them, in the order of the file. Raises ConfigurationError for a line that says nothing."""
    path = tombstone_file(layout)
    if not path.exists():
        return []
    found = []
    with path.open(encoding="utf-8", newline="") as file:
        for number, row in enumerate(csv.DictReader(file), start=2):
            try:
                dates = {name: date.fromisoformat(row[name]) for name in ("first_day", "last_day", "forgotten_on")}
                found.append(Tombstone(row["site_id"], row["meter_id"], **dates, who=row["who"], why=row["why"]))
            except (KeyError, TypeError, ValueError) as error:
                raise ConfigurationError(f"forgotten.csv, line {number}: {error}") from error
    return found


def add_tombstones(layout: Layout, added: Collection[Tombstone]) -> None:
    """Write them beside those that are there, in one step."""
    with file_lock(layout.lock("config")):
        rows = [asdict(each) for each in (*read_tombstones(layout), *added)]
        path = tombstone_file(layout)
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_file(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, [field.name for field in fields(Tombstone)])
            writer.writeheader()
            writer.writerows(rows)


def held_rows(layout: Layout, tombstones: Collection[Tombstone]) -> dict[str, tuple[int, int]]:
    """Days and rows (all versions) that the lake holds of what the tombstones cover, by dataset."""
    found: dict[str, tuple[int, int]] = {}
    for dataset in DATASETS:
        heights = [
            read_day(layout, dataset, day).filter(_of(dataset.subject, about)).height
            for day, about in _days(layout, dataset, tombstones)
        ]
        found[dataset.name] = (sum(height > 0 for height in heights), sum(heights))
    return found


def remove_rows(layout: Layout, tombstones: Collection[Tombstone]) -> None:
    """Take out of the lake what they cover. Repeating it changes nothing. Raises LakeError if a file resists."""
    if not tombstones:
        return
    for dataset in DATASETS:
        with file_lock(layout.commit_lock(dataset.name)):
            for day, about in _days(layout, dataset, tombstones):
                versions = read_day(layout, dataset, day)
                kept = versions.filter(~_of(dataset.subject, about))
                if kept.height < versions.height:
                    write_day(layout, dataset, day, kept)
                coverage = read_coverage_day(layout, dataset, day)
                is_gone = _of("subject_id", about)
                if coverage.filter(is_gone).height:
                    write_coverage_day(layout, dataset, day, _emptied(coverage, is_gone))
    with file_lock(layout.commit_lock(STATED_MONTHS.name)):
        for day in days_on_disk(layout, STATED_MONTHS):
            rows = journals.read_day(layout, STATED_MONTHS, day)
            kept = pl.DataFrame(without_month_values(rows.to_dicts(), tombstones), schema=STATED_MONTHS.columns)
            if not kept.equals(rows):
                write_parquet(layout.data_file(STATED_MONTHS.name, day), kept)
    for journal, subject, quote, is_quoting in QUOTES:
        is_gone = is_quoting & pl.any_horizontal([_may_be_about(subject, each) for each in tombstones])
        with file_lock(layout.commit_lock(journal.name)):
            for day in days_on_disk(layout, journal):
                _remove_quotes(layout, journal, day, quote, is_gone)


def _may_be_about(subject: str, tombstone: Tombstone) -> pl.Expr:
    """Rows of a journal about days that are covered; those that do not say their days may be about any."""
    begins, ends = pl.col("first_day") <= tombstone.last_day, pl.col("last_day") >= tombstone.first_day
    return _of(subject, [tombstone]) & begins.fill_null(value=True) & ends.fill_null(value=True)


def _remove_quotes(layout: Layout, journal: Journal, day: date, quote: str, is_gone: pl.Expr) -> None:
    rows = journals.read_day(layout, journal, day)
    nothing = pl.lit([] if journal is FINDINGS else None, journal.columns[quote])
    kept = rows.with_columns(pl.when(is_gone).then(nothing).otherwise(pl.col(quote)).alias(quote))
    if not kept.equals(rows):
        write_parquet(layout.data_file(journal.name, day), kept)


def without_month_values(rows: Iterable[Mapping[str, Any]], tombstones: Collection[Tombstone]) -> list[dict[str, Any]]:
    """Rows of ``stated_months``, without the values of months of which days are covered."""
    return [
        {**row, **dict.fromkeys(MONTH_VALUES)}
        if any(
            (row["site_id"], row["meter_id"]) == (each.site_id, each.meter_id)
            and each.is_within_month(row["billing_month"])
            for each in tombstones
        )
        else dict(row)
        for row in rows
    ]


def without_forgotten(rows: pl.DataFrame, dataset: Dataset, tombstones: Collection[Tombstone]) -> pl.DataFrame:
    """Rows of many days (``local_date`` beside the dataset's columns) without those that are covered."""
    for each in tombstones:
        is_own = (pl.col("site_id") == each.site_id) & (pl.col(dataset.subject) == each.meter_id)
        rows = rows.filter(~(is_own & pl.col("local_date").is_between(each.first_day, each.last_day)))
    return rows


def _days(
    layout: Layout, dataset: Dataset, tombstones: Collection[Tombstone]
) -> Iterator[tuple[date, list[Tombstone]]]:
    for day in days_on_disk(layout, dataset):
        about = [each for each in tombstones if each.first_day <= day <= each.last_day]
        if about:
            yield day, about


def _of(subject: str, about: Collection[Tombstone]) -> pl.Expr:
    keys = [(pl.col("site_id") == each.site_id) & (pl.col(subject) == each.meter_id) for each in about]
    return pl.any_horizontal(keys)


def _emptied(coverage: pl.DataFrame, is_gone: pl.Expr) -> pl.DataFrame:
    return coverage.with_columns(
        pl.when(is_gone).then(pl.lit(law.EMPTY)).otherwise(pl.col("state")).alias("state"),
        pl.when(is_gone).then(pl.lit(0, pl.Int32)).otherwise(pl.col("received")).alias("received"),
        pl.when(is_gone).then(pl.lit([], coverage.schema["gaps"])).otherwise(pl.col("gaps")).alias("gaps"),
    )
