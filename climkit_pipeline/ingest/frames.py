"""Frames in the lake's columns from typed records: what every dataset family does in the same way."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import polars as pl

from climkit_pipeline.api.series import SeriesColumns
from climkit_pipeline.domain.periods import Period, dates_between, local_date_of_reading, local_midnight_utc
from climkit_pipeline.lake.schemas import Dataset


@dataclass(frozen=True, slots=True)
class Finding:
    """Something odd in an answer: its kind, how often, and some keys to look at."""

    code: str
    dataset: str
    site_id: str
    subject_id: str
    count: int
    samples: tuple[str, ...] = ()

    def __str__(self) -> str:
        about = " ".join(dict.fromkeys((self.dataset, self.site_id, self.subject_id)))
        if self.count == len(self.samples) == 1:  # it says all that there is: a sentence, for the most part
            return f"{self.code}: {self.samples[0]} ({about})"
        return f"{about}: {self.code} x {self.count}, e.g. {', '.join(self.samples)}"

    def as_row(self, found_at: datetime) -> dict[str, Any]:
        """The row of the journal ``findings``; the days that it is about are the caller's to add."""
        return {
            "found_at_utc": found_at,
            **{name: getattr(self, name) for name in ("code", "dataset", "site_id", "subject_id")},
            "occurrences": self.count,
            "samples": list(self.samples),
        }


@dataclass(frozen=True, slots=True)
class ParsedAnswer:
    """The rows of one answer: the dataset's columns, ``extra``, ``fetched_at_utc``, and ``local_date`` first."""

    rows: pl.DataFrame
    interval_minutes: int | None = None
    findings: tuple[Finding, ...] = field(default=())
    lead_in: pl.DataFrame | None = None
    """Intervals before those that were wanted, with the same columns: to be compared, not to be kept."""
    answered: int = 0
    """How many rows the answer held, whatever became of them."""

    @property
    def is_from_start(self) -> bool:
        """Whether the answer holds something from before what was wanted: then it was not cut at its front."""
        return self.lead_in is not None and not self.lead_in.is_empty()


def rows_frame(
    dataset: Dataset,
    columns: Mapping[str, Sequence[Any] | pl.Series],
    *,
    extras: Sequence[str | None] | None,
    local_dates: Sequence[date] | pl.Series,
    fetched_at: datetime,
) -> pl.DataFrame:
    """A frame with ``local_date``, the dataset's columns, ``extra`` and ``fetched_at_utc``; absent columns are null."""
    height = len(local_dates)
    series = [pl.Series("local_date", local_dates, dtype=pl.Date)]
    for name, dtype in dataset.columns.items():
        values = columns.get(name)
        series.append(_column(name, [None] * height if values is None else values, dtype))
    series.append(_column("extra", [None] * height if extras is None else extras, pl.String))
    frame = pl.DataFrame(series)
    return frame.with_columns(pl.lit(fetched_at).dt.cast_time_unit("us").alias("fetched_at_utc"))


def _column(name: str, values: Sequence[Any] | pl.Series, dtype: pl.DataType | type[pl.DataType]) -> pl.Series:
    """A column of what the API said; half a character, or a whole number beyond 64 bits, has no place in a file."""
    if isinstance(values, pl.Series):
        return values.alias(name)
    try:
        return pl.Series(name, values, dtype=dtype)
    except UnicodeEncodeError:
        whole = [None if value is None else value.encode("utf-8", "replace").decode() for value in values]
        return pl.Series(name, whole, dtype=dtype)
    except OverflowError:
        fitting = [value if value is None or -(2**63) <= value < 2**63 else None for value in values]
        return pl.Series(name, fitting, dtype=dtype)


def one_value_per_key(
    dataset: Dataset, rows: pl.DataFrame, site_id: str, subject_id: str
) -> tuple[pl.DataFrame, list[Finding]]:
    """Rows with each key once (the last one given wins), and findings for what was doubled."""
    if dataset.time and rows[dataset.time].n_unique() == rows.height:
        return rows, []  # one subject's answer: nothing but the time tells its rows apart
    key = list(dataset.key)
    doubled = rows.filter(pl.struct(key).is_duplicated())
    if doubled.is_empty():
        return rows, []
    time = dataset.time or dataset.subject
    compared = [*dataset.values, "extra"]
    conflicting = doubled.unique([*key, *compared]).filter(pl.struct(key).is_duplicated())
    equal = doubled.join(conflicting, on=key, how="anti")
    findings = []
    for code, frame in (("duplicate_rows", equal), ("conflicting_rows", conflicting)):
        keys = frame.select("local_date", time).unique().sort(time)
        if len(keys):
            # Each day concerned is named: the models judge days.
            firsts = pl.concat([keys.head(3), keys.unique("local_date", keep="first", maintain_order=True)])
            samples = tuple(str(value) for value in firsts[time].unique().sort())
            findings.append(Finding(code, dataset.name, site_id, subject_id, len(keys), samples))
    return rows.unique(key, keep="last", maintain_order=True), findings


def findings_of(dataset: Dataset, site_id: str, subject_id: str, odd: Mapping[str, pl.Series]) -> list[Finding]:
    """A finding for each code with instants in the order of ``odd``, with the first three of them."""
    return [
        Finding(code, dataset.name, site_id, subject_id, len(at), tuple(each.isoformat() for each in at.sort().head(3)))
        for code, at in odd.items()
        if len(at)
    ]


def unreadable_rows(dataset: Dataset, site_id: str, subject_id: str, positions: Sequence[int]) -> list[Finding]:
    """A finding for rows of which nobody can tell what they are about, with the positions of the first three."""
    if not positions:
        return []
    samples = tuple(f"row {position}" for position in positions[:3])
    return [Finding("unreadable_row", dataset.name, site_id, subject_id, len(positions), samples)]


def values_elsewhere(dataset: Dataset, site_id: str, subject_id: str, columns: SeriesColumns) -> list[Finding]:
    """A finding for rows without any value whose unknown fields hold numbers: an estimate, or a new name perhaps.

    Nobody can tell what such a number is, so it stays in ``extra`` and counts for nothing; the samples name the field.
    """
    if columns.extras is None:
        return []
    are_null = pl.DataFrame(list(columns.numbers.values())).select(pl.all_horizontal(pl.all().is_null())).to_series()
    without_value = columns.filter(are_null & ~columns.has_no_number)
    found: dict[str, list[datetime]] = {}
    for stamp, extra in zip(without_value.stamp_utc, without_value.extras or (), strict=True):
        for name, value in json.loads(extra or "{}").items():
            if value and type(value) in {int, float}:
                found.setdefault(name, []).append(stamp)
    if not found:
        return []
    samples = tuple(f"{name} from {min(at).isoformat()}" for name, at in sorted(found.items())[:3])
    return [Finding("value_elsewhere", dataset.name, site_id, subject_id, len(set().union(*found.values())), samples)]


def local_dates_of(stamps: pl.Series, wanted: Period, zone: ZoneInfo, *, includes_end: bool) -> pl.Series:
    """The local day of each stamp, all being of the days ``wanted``: ``[start, end)``, or ``(start, end]``.

    Counted from one midnight to the next, which asks the zone once a day.
    """
    first, last = (local_date_of_reading(at, zone) for at in (wanted.start_utc + timedelta.resolution, wanted.end_utc))
    days = dates_between(first, last)
    midnights = pl.Series([local_midnight_utc(day, zone) for day in days], dtype=stamps.dtype)
    # How many midnights lie before (or at) a stamp is the number of its day, from 1.
    numbers = midnights.search_sorted(stamps, side="left" if includes_end else "right")
    return pl.Series("local_date", days, dtype=pl.Date).gather(numbers - 1)


def beyond(asked: Period, stamps: pl.Series, edge: timedelta) -> pl.Series:
    """The stamps that are not of the window asked for, nor so close to a bound that only its meaning decides."""
    return stamps.filter((stamps < asked.start_utc - edge) | (stamps > asked.end_utc + edge))


def within(period: Period, stamps: pl.Series, *, includes_end: bool) -> pl.Series:
    """Whether stamps belong to a period of days: ``[start, end)``, or ``(start, end]`` for readings."""
    if includes_end:
        return (stamps > period.start_utc) & (stamps <= period.end_utc)
    return (stamps >= period.start_utc) & (stamps < period.end_utc)
