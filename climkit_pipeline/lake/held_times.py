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

from climkit_pipeline.domain.periods import Period


@dataclass(frozen=True, slots=True)
class HeldTimes:
    """The times of some rows, of which no two are equal."""

    count: int
    first: datetime
    last: datetime
    step: timedelta | None
    """The distance between neighbours, if it is always the same; None for one row alone."""
    until: datetime | None = None
    """The end of the last interval; None for readings."""
    is_tiled: bool = False
    """Whether each interval ends where the next begins."""
    shortest_minutes: int | None = None
    """The length of the shortest interval, a local day counting as 1,440 minutes; None for readings."""
    _times: Callable[[], Iterable[datetime]] = field(default=list, repr=False, compare=False)
    _ends: Callable[[], Iterable[datetime]] = field(default=list, repr=False, compare=False)

    def each(self) -> set[datetime]:
        """Every time."""
        return set(self._times())

    def intervals(self) -> list[Period]:
        """Every interval, by its start."""
        return sorted(Period(start, end) for start, end in zip(self._times(), self._ends(), strict=True))


def held_times(
    rows: pl.DataFrame, time: str, by: Sequence[str], end: str | None = None
) -> dict[tuple[Any, ...], HeldTimes]:
    """The times in the column ``time`` of each group of rows that are alike in the columns ``by``.

    ``end`` is the column of the ends of intervals.
    """
    ordered = pl.col(time).sort()
    ends = pl.col(end).sort_by(time) if end else None
    of_intervals = (
        []
        if ends is None
        else [
            ends.max().alias("until"),
            (ends.shift(1) == ordered).all().alias("is_tiled"),
            ((ends - ordered).min().dt.total_minutes()).alias("shortest_minutes"),
            pl.col(end or time).alias("ends"),
        ]
    )
    groups = rows.group_by(by).agg(
        pl.len().alias("count"),
        ordered.first().alias("first"),
        ordered.last().alias("last"),
        ordered.diff().min().alias("shortest"),
        ordered.diff().max().alias("longest"),
        pl.col(time).alias("times"),
        *of_intervals,
    )
    step = pl.when(pl.col("shortest") == pl.col("longest")).then(pl.col("shortest"))
    told = ["until", "is_tiled", "shortest_minutes"] if end else []
    held = {}
    figures = groups.select(*by, "count", "first", "last", step.alias("step"), *told)
    for number, row in enumerate(figures.iter_rows()):
        count, first, last, distance, *more = row[len(by) :]
        until, is_tiled, minutes = more or (None, False, None)
        held[row[: len(by)]] = HeldTimes(
            count,
            first,
            last,
            distance,
            until,
            is_tiled,
            _of_day(minutes),
            partial(_times_of, groups["times"], number),
            partial(_times_of, groups["ends"], number) if end else list,
        )
    return held


def _of_day(minutes: int | None) -> int | None:
    """Minutes of an interval; a local day of 23 or 25 hours is a day."""
    return 1440 if minutes is not None and minutes >= 23 * 60 else minutes


def _times_of(lists: pl.Series, number: int) -> list[datetime]:
    times: list[datetime] = lists[number].to_list()
    return times
