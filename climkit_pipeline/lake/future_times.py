"""What a machine whose clock was ahead has left in the lake, and how it is put right.

An answer is ordered by when it came. One that came "next year" stays current until then, and whatever comes meanwhile
is filed as older. Nobody knows when such answers really came, so they are dated before the newest answer that came in
its own time, or now if there is none, and their days are asked for again: that settles which value holds.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime

import polars as pl

from climkit_pipeline.domain.periods import LARGEST_CLOCK_DIFFERENCE
from climkit_pipeline.errors import LakeError
from climkit_pipeline.files import file_lock
from climkit_pipeline.lake import coverage as law
from climkit_pipeline.lake import journals
from climkit_pipeline.lake.day_files import (
    days_on_disk,
    read_coverage_day,
    read_day,
    rebuilt_versions,
    write_coverage_day,
    write_day,
)
from climkit_pipeline.lake.layout import Layout
from climkit_pipeline.lake.schemas import DATASETS, JOURNALS, Dataset

COMMAND = "climkit heal-times"


@dataclass
class FutureTimes:
    """What is dated later than now."""

    values: int = 0
    """Versions of values."""
    answers: int = 0
    """Days of meters, sites and sensors that were asked for then."""
    first_day: date | None = None
    last_day: date | None = None
    latest_utc: datetime | None = None

    def __bool__(self) -> bool:
        return bool(self.values or self.answers)

    def __str__(self) -> str:
        until = f" (up to {self.latest_utc:%Y-%m-%d %H:%M} UTC)" if self.latest_utc else ""
        return (
            f"{self.answers:,} days of meters and sites were asked for, and {self.values:,} values fetched, later than "
            f"now{until}: this machine's clock was ahead"
        )

    def _note(self, day: date, latest: datetime | None, *, values: int, answers: int, is_interval: bool) -> None:
        self.values, self.answers = self.values + values, self.answers + answers
        if is_interval:  # days of readings and listings go along with them
            self.first_day = min(filter(None, (self.first_day, day)))
            self.last_day = max(filter(None, (self.last_day, day)))
        self.latest_utc = max(filter(None, (self.latest_utc, latest)), default=None)


def find(layout: Layout, now: datetime) -> FutureTimes:
    """What of the lake is dated later than ``now``."""
    found = FutureTimes()
    for dataset, day in _days(layout):
        _look(layout, dataset, day, now, found)
    return found


def heal(layout: Layout, now: datetime) -> FutureTimes:
    """Date what is dated later than ``now`` before it, and have its days asked for again; says what was found.

    Listings and days of a time that has not come are removed. Raises LakeError if a file cannot be read or written.
    """
    found = FutureTimes()
    for dataset, day in _days(layout):
        with file_lock(layout.commit_lock(dataset.name)):
            if day > now.date() + law.LATE_DATA:
                _remove(layout, dataset.name, day)
            elif _look(layout, dataset, day, now, found):
                versions = read_day(layout, dataset, day)
                healed = rebuilt_versions(dataset, _in_their_time(dataset, versions, now))
                if not healed.equals(versions):
                    write_day(layout, dataset, day, healed)
                coverage = read_coverage_day(layout, dataset, day)
                is_series = dataset.kind != "snapshot"  # a listing of today replaces that of today
                write_coverage_day(layout, dataset, day, _asked_again(coverage, now, is_series=is_series))
    for journal in JOURNALS:
        for day in days_on_disk(layout, journal):
            if day > (now + LARGEST_CLOCK_DIFFERENCE).date():
                rows = journals.read_day(layout, journal, day).with_columns(pl.lit(now).alias(journal.time))
                journals.append(layout, journal, rows.to_dicts())
                with file_lock(layout.commit_lock(journal.name)):
                    _remove(layout, journal.name, day)
    return found


def _days(layout: Layout) -> Iterator[tuple[Dataset, date]]:
    for dataset in DATASETS.values():
        for day in days_on_disk(layout, dataset):
            yield dataset, day


def _look(layout: Layout, dataset: Dataset, day: date, now: datetime, found: FutureTimes) -> bool:
    """Count what a day holds from the future; whether it holds any."""
    asked = read_coverage_day(layout, dataset, day)["last_asked_at_utc"]
    late = asked.filter(asked > now + LARGEST_CLOCK_DIFFERENCE)
    if late.is_empty():  # whatever was fetched then was asked for then
        return False
    fetched = read_day(layout, dataset, day)["fetched_at_utc"]
    latest = late.max()
    found._note(  # noqa: SLF001 - one unit with it
        day,
        latest if isinstance(latest, datetime) else None,
        values=fetched.filter(fetched > now + LARGEST_CLOCK_DIFFERENCE).len(),
        answers=late.len(),
        is_interval=dataset.kind == "interval",
    )
    return True


def _in_their_time(dataset: Dataset, versions: pl.DataFrame, now: datetime) -> pl.DataFrame:
    """The versions, none of them from the future."""
    key = list(dataset.key)
    at, limit = pl.col("fetched_at_utc"), pl.lit(now + LARGEST_CLOCK_DIFFERENCE).dt.cast_time_unit("us")
    is_late = at > limit
    in_time = at.filter(~is_late)
    versions = versions.with_columns(
        newest=in_time.max().over(key),
        known=in_time.len().over(key),
        # The order among themselves stays.
        place=at.rank("ordinal", descending=True).over(key),
    )
    before_newest = pl.col("newest") - pl.duration(microseconds=pl.col("place"))
    healed = pl.when(pl.col("known") > 1).then(before_newest).otherwise(pl.lit(now).dt.cast_time_unit("us"))
    ended = pl.col("superseded_at_utc")
    return versions.with_columns(
        fetched_at_utc=pl.when(is_late).then(healed).otherwise(at),
        superseded_at_utc=pl.when(ended > limit).then(None).otherwise(ended),
    ).select(list(dataset.schema))


def _asked_again(coverage: pl.DataFrame, now: datetime, *, is_series: bool) -> pl.DataFrame:
    """The coverage of a day, with what was asked for in the future to be asked for again."""
    limit = pl.lit(now + LARGEST_CLOCK_DIFFERENCE).dt.cast_time_unit("us")
    is_late = pl.col("last_asked_at_utc") > limit
    times = ("first_asked_at_utc", "last_asked_at_utc", "last_changed_at_utc")
    at = pl.lit(now).dt.cast_time_unit("us")
    return coverage.with_columns(
        pl.when(is_late & (pl.lit(value=is_series)) & (pl.col("state") != law.FAILED))
        .then(pl.lit(law.PENDING))
        .otherwise(pl.col("state"))
        .alias("state"),
        *(pl.when(pl.col(name) > limit).then(at).otherwise(pl.col(name)).alias(name) for name in times),
    )


def _remove(layout: Layout, name: str, day: date) -> None:
    try:
        shutil.rmtree(layout.day(name, day))
    except OSError as error:
        raise LakeError(f"{layout.day(name, day)} cannot be removed: {error.strerror or error}") from error
