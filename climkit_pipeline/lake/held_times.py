"""When the rows of a subject's day lie: a few figures where they are regular, one by one only where they are not.

A day of a meter is 96 times, a month of an account millions: nearly all of them are told by their number, the first,
the last, and the distance between neighbours.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from typing import Any

import polars as pl


@dataclass(frozen=True, slots=True)
class HeldTimes:
    """The times of some rows, of which no two are equal."""

    count: int
    first: datetime
    last: datetime
    step: timedelta | None
    """The distance between neighbours, if it is always the same; None for one row alone."""
    _times: Callable[[], Iterable[datetime]] = field(repr=False, compare=False)

    def each(self) -> set[datetime]:
        """Every time."""
        return set(self._times())


def held_times(rows: pl.DataFrame, time: str, by: Sequence[str]) -> dict[tuple[Any, ...], HeldTimes]:
    """The times in the column ``time`` of each group of rows that are alike in the columns ``by``."""
    ordered = pl.col(time).sort()
    groups = rows.group_by(by).agg(
        pl.len().alias("count"),
        ordered.first().alias("first"),
        ordered.last().alias("last"),
        ordered.diff().min().alias("shortest"),
        ordered.diff().max().alias("longest"),
        pl.col(time).alias("times"),
    )
    step = pl.when(pl.col("shortest") == pl.col("longest")).then(pl.col("shortest"))
    held = {}
    for number, row in enumerate(groups.select(*by, "count", "first", "last", step.alias("step")).iter_rows()):
        count, first, last, distance = row[len(by) :]
        held[row[: len(by)]] = HeldTimes(count, first, last, distance, partial(_times_of, groups["times"], number))
    return held


def _times_of(lists: pl.Series, number: int) -> list[datetime]:
    times: list[datetime] = lists[number].to_list()
    return times
