"""Journals of the lake (``api_calls``, ``findings``): what happened, one file per UTC day, rows that never change.

Here: adding rows and reading them. Not here: which events there are (``ingest.ledger``, ``ingest.commit``).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime
from typing import Any

import polars as pl

from climkit_pipeline.files import file_lock
from climkit_pipeline.lake.day_files import days_on_disk
from climkit_pipeline.lake.layout import Layout
from climkit_pipeline.lake.parquet import read_older_parquet, write_parquet
from climkit_pipeline.lake.schemas import Journal


def append(layout: Layout, journal: Journal, rows: Sequence[Mapping[str, Any]]) -> None:
    """Add rows (each with every column of the journal); one that is there already is not added again."""
    if not rows:
        return
    frame = pl.DataFrame(list(rows), schema=journal.columns)
    with file_lock(layout.commit_lock(journal.name)):
        for (day,), added in frame.group_by(pl.col(journal.time).dt.date(), maintain_order=True):
            assert isinstance(day, date)  # noqa: S101 - the group key is a date
            known = read_day(layout, journal, day)
            merged = pl.concat([known, added]).unique(journal.key, keep="first", maintain_order=True)
            if merged.height > known.height:
                write_parquet(layout.data_file(journal.name, day), merged.sort(journal.key))


def read_day(layout: Layout, journal: Journal, day: date) -> pl.DataFrame:
    """The rows of one UTC day."""
    return read_older_parquet(layout.data_file(journal.name, day), journal.columns)


def read_days(layout: Layout, journal: Journal, days: Iterable[date]) -> pl.DataFrame:
    """The rows of many UTC days, in their order."""
    return pl.concat([pl.DataFrame(schema=journal.columns), *(read_day(layout, journal, day) for day in days)])


def read_since(layout: Layout, journal: Journal, instant: datetime) -> pl.DataFrame:
    """The rows from an instant on."""
    rows = read_days(layout, journal, days_since(layout, journal, instant))
    return rows.filter(pl.col(journal.time) >= instant)


def days_since(layout: Layout, journal: Journal, instant: datetime) -> list[date]:
    """The days with rows that may be as late as ``instant``, oldest first."""
    return [day for day in days_on_disk(layout, journal) if day >= instant.date()]
