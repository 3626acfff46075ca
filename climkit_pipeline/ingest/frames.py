"""Frames in the lake's columns from typed records: what every dataset family does in the same way."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any

import polars as pl

from climkit_pipeline.domain.periods import Period
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


def extra_text(extra: Mapping[str, Any]) -> str | None:
    """Unknown fields as JSON text with a stable order of keys, or None when there are none."""
    return json.dumps(extra, sort_keys=True, ensure_ascii=False, default=str) if extra else None


def rows_frame(
    dataset: Dataset,
    columns: Mapping[str, Sequence[Any]],
    *,
    extras: Sequence[str | None],
    local_dates: Sequence[date],
    fetched_at: datetime,
) -> pl.DataFrame:
    """A frame with ``local_date``, the dataset's columns, ``extra`` and ``fetched_at_utc``; absent columns are null."""
    height = len(local_dates)
    series = [pl.Series("local_date", local_dates, dtype=pl.Date)]
    for name, dtype in dataset.columns.items():
        values = columns.get(name)
        series.append(_column(name, [None] * height if values is None else values, dtype))
    series.append(_column("extra", extras, pl.String))
    frame = pl.DataFrame(series)
    return frame.with_columns(pl.lit(fetched_at).dt.cast_time_unit("us").alias("fetched_at_utc"))


def _column(name: str, values: Sequence[Any], dtype: pl.DataType | type[pl.DataType]) -> pl.Series:
    """A column of what the API said; half a character, or a whole number beyond 64 bits, has no place in a file."""
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


def findings_of(
    dataset: Dataset, site_id: str, subject_id: str, odd: Mapping[str, Sequence[datetime]]
) -> list[Finding]:
    """A finding for each code with instants, with the first three of them."""
    return [
        Finding(code, dataset.name, site_id, subject_id, len(at), tuple(each.isoformat() for each in sorted(at)[:3]))
        for code, at in odd.items()
        if at
    ]


def is_near(asked: Period, stamp: datetime, edge: timedelta) -> bool:
    """Whether a stamp is of the window asked for, or so close to a bound that only the bound's meaning decides."""
    return asked.start_utc - edge <= stamp <= asked.end_utc + edge


def within(period: Period, instant: datetime, *, includes_end: bool) -> bool:
    """Whether an instant belongs to a period of days: ``[start, end)``, or ``(start, end]`` for readings."""
    if includes_end:
        return period.start_utc < instant <= period.end_utc
    return instant in period
