"""Series answers as columns: the same as the records of ``answers``, without a record a row where an answer is usual.

Usual is an answer of which every instant is written in the documented way (ISO with an offset, or whole seconds) and
every number is one. Anything else is read row by row, by the functions that know what to say about it; both ways give
the same columns.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import polars as pl

from climkit_pipeline.api.answers import SeriesForm, readable_rows, record_of
from climkit_pipeline.domain.periods import Period

INSTANT = pl.Datetime("us", "UTC")

_ISO = r"^(19|20)\d\d-\d\d-\d\d[ T]([01]\d|2[0-3]):[0-5]\d:[0-5]\d(Z|[+-](0\d|1[0-4]):[0-5]\d)$"
_LAST_SECOND = 4_000_000_000
"""In the year 2096; what is later may be milliseconds, or nonsense."""


@dataclass(frozen=True, slots=True)
class SeriesColumns:
    """The rows of one answer, in its order, as columns of equal length."""

    stamp_utc: pl.Series
    numbers: Mapping[str, pl.Series]
    """By our names; null where the answer has no number."""
    extras: Sequence[str | None] | None
    """What is unknown in a row, or no number, as JSON text; None if all is known."""
    has_no_number: pl.Series
    """Whether something else stands where a number belongs."""
    unreadable: tuple[int, ...] = ()
    """Positions, from 1, of what the answer holds beside these rows, and nobody can tell what it is about."""

    def filter(self, is_kept: pl.Series) -> SeriesColumns:
        """Some of the rows."""
        return SeriesColumns(
            self.stamp_utc.filter(is_kept),
            {name: column.filter(is_kept) for name, column in self.numbers.items()},
            self.extras and [extra for extra, keep in zip(self.extras, is_kept, strict=True) if keep],
            self.has_no_number.filter(is_kept),
            self.unreadable,
        )


def extra_text(extra: Mapping[str, Any]) -> str | None:
    """Unknown fields as JSON text with a stable order of keys, or None when there are none."""
    return json.dumps(extra, sort_keys=True, ensure_ascii=False, default=str) if extra else None


def series_columns(payload: object, asked: Period | None, form: SeriesForm[Any]) -> SeriesColumns:
    """The rows of a series answer. Raises UnexpectedPayloadError as ``answers.readable_rows`` does."""
    return usual_columns(payload, form) or careful_columns(payload, asked, form)


def careful_columns(payload: object, asked: Period | None, form: SeriesForm[Any]) -> SeriesColumns:
    """The columns of any answer, by way of its records."""
    readable = readable_rows(payload, asked, form.what)
    records = [record_of(row, stamp, form) for row, stamp in zip(readable.rows, readable.stamps, strict=True)]
    return SeriesColumns(
        pl.Series("stamp_utc", [record.stamp_utc for record in records], dtype=INSTANT),
        {
            name: pl.Series(name, [getattr(record, name) for record in records], dtype=pl.Float64)
            for name in form.names.values()
        },
        [extra_text(record.extra) for record in records],
        pl.Series("has_no_number", [bool(record.not_numbers) for record in records], dtype=pl.Boolean),
        readable.unreadable,
    )


def usual_columns(payload: object, form: SeriesForm[Any]) -> SeriesColumns | None:
    """The columns of a usual answer; None for any other."""
    if not isinstance(payload, list) or not payload or set(map(type, payload)) != {dict}:
        return None
    stamps = _instants([row.get("timestamp") for row in payload])
    if stamps is None:
        return None
    numbers = {}
    for name, ours in form.names.items():
        column = _numbers(ours, [row.get(name) for row in payload])
        if column is None:
            return None
        numbers[ours] = column
    unknown = [key for key in set().union(*payload) if not form.knows(key)]
    extras = None
    if unknown:
        extras = [extra_text({key: row[key] for key in unknown if key in row}) for row in payload]
    return SeriesColumns(stamps, numbers, extras, pl.repeat(value=False, n=len(payload), eager=True))


def _instants(values: list[Any]) -> pl.Series | None:
    kinds = set(map(type, values))
    if kinds == {int} and min(values) >= 0 and max(values) <= _LAST_SECOND:
        return (pl.Series("stamp_utc", values, dtype=pl.Int64) * 1_000_000).cast(INSTANT)
    return _written_instants(tuple(values)) if kinds == {str} else None


# The meters of a site are asked for one window each: the same texts, one answer after the other.
@lru_cache(maxsize=4)
def _written_instants(values: tuple[str, ...]) -> pl.Series | None:
    if not all(map(str.isascii, values)):
        return None
    texts = pl.Series("stamp_utc", values, dtype=pl.String)
    if not texts.str.contains(_ISO).all():
        return None
    whole = texts.str.replace("T", " ", literal=True).str.replace("Z", "+00:00", literal=True)
    stamps = whole.str.to_datetime("%Y-%m-%d %H:%M:%S%:z", time_unit="us", strict=False)
    return None if stamps.null_count() else stamps


def _numbers(name: str, values: list[Any]) -> pl.Series | None:
    if not set(map(type, values)) <= {int, float, type(None)}:
        return None
    try:
        column = pl.Series(name, [None if value is None else float(value) for value in values], dtype=pl.Float64)
    except OverflowError:  # a whole number beyond the largest float
        return None
    return column if column.is_finite().all() else None
