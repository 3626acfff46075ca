"""Where raw readings of registers matter: around the bounds of months, and in the running and the last month.

Here: in which parts a range is asked for, and which days of raw readings are wanted. Not here: how they are asked for
(``planning``, ``fetching``).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date

from climkit_pipeline.domain.periods import ONE_DAY, last_month, next_month
from climkit_pipeline.ingest.windows import months_newest_first
from climkit_pipeline.lake.schemas import METER_INDICES

LONGEST_WINDOW = 365
"""Local days in one call for older raw readings; a window begins one day early on top of it."""
SHORT_WINDOW = 28
"""Days: where windows must be shorter, older months are asked for around their bounds alone."""
DAYS_AT_A_BOUND = 2
"""On either side of a month's bound."""


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a range that one run brings up to date."""

    first_day: date
    last_day: date
    datasets: tuple[str, ...]
    is_raw_sparing: bool = False
    """Whether days amid older months are given up where the API takes short windows alone."""


def parts_of(first_day: date, last_day: date, datasets: Sequence[str], today: date, *, is_sparing: bool) -> list[Part]:
    """The parts of a range, in the order in which they are asked for: months newest first, older raw readings last.

    Naming raw readings alone asks for every day of them, month by month, as without sparing.
    """
    raw = METER_INDICES.name
    if not is_sparing or raw not in datasets or tuple(datasets) == (raw,):
        return [Part(*days, tuple(datasets)) for days in _months(first_day, last_day)]
    recent_from = last_month(today)
    others = tuple(name for name in datasets if name != raw)
    parts = [
        Part(first, last, tuple(datasets) if last >= recent_from else others)
        for first, last in _months(first_day, last_day)
    ]
    older_until = min(last_day, recent_from - ONE_DAY)
    return parts + [Part(first, last, (raw,), is_raw_sparing=True) for first, last in _spans(first_day, older_until)]


def _months(first_day: date, last_day: date) -> Iterator[tuple[date, date]]:
    return ((month.first_day, month.last_day) for month in months_newest_first(first_day, last_day))


def _spans(first_day: date, last_day: date) -> Iterator[tuple[date, date]]:
    """Whole months, as many as one window covers, newest first."""
    while first_day <= last_day:
        first = max(first_day, last_day - ONE_DAY * (LONGEST_WINDOW - 1))
        if first > first_day and first.day != 1:
            first = next_month(first)
        yield first, last_day
        last_day = first - ONE_DAY


def is_at_a_bound(day: date) -> bool:
    """Whether a day is one of the first or the last of its month."""
    return day.day <= DAYS_AT_A_BOUND or (day + ONE_DAY * DAYS_AT_A_BOUND).month != day.month
