"""Which calls to make: the fewest windows that cover the days wanted. Pure functions of their arguments.

Here: whether a day is missing by its coverage, and days to windows. Not here: reading that (``planning``), when to call
(``api.pacer``).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import date
from functools import lru_cache

from climkit_pipeline.domain.periods import ONE_DAY, dates_between
from climkit_pipeline.lake.coverage import EMPTY, FAILED, GAP, PENDING, DayCoverage


@dataclass(frozen=True, slots=True, order=True)
class Window:
    """Local days from ``first_day`` to ``last_day``, both included, that one call covers."""

    first_day: date
    last_day: date

    @property
    def days(self) -> int:
        """How many local days the window covers."""
        return (self.last_day - self.first_day).days + 1

    @property
    def dates(self) -> list[date]:
        """The local days."""
        return dates_between(self.first_day, self.last_day)

    def halves(self) -> tuple[Window, Window]:
        """The window cut in the middle; needs at least two days."""
        middle = self.first_day + ONE_DAY * (self.days // 2)
        return Window(self.first_day, middle - ONE_DAY), Window(middle, self.last_day)


def is_missing(coverage: DayCoverage | None, day: date, first_day_with_rows: date | None) -> bool:
    """Whether a day has to be asked for: never asked, failed, pending, a recorded gap.

    A day that was empty when nothing was known from before is asked again once older rows have turned up.
    """
    if coverage is None or coverage.state in {FAILED, PENDING, GAP}:
        return True
    return coverage.state == EMPTY and first_day_with_rows is not None and first_day_with_rows < day


def plan_windows(days: Collection[date], window_days: int) -> list[Window]:
    """The fewest windows of at most ``window_days`` days that cover every day of ``days``; oldest first.

    Among plans with as few calls, the one with the most cuts between adjacent days at month starts, then the one
    that covers the fewest days nobody wants.
    """
    return list(_windows_of(tuple(sorted(set(days))), window_days))


@lru_cache(maxsize=4096)
def _windows_of(wanted: tuple[date, ...], window_days: int) -> tuple[Window, ...]:
    """The windows of days in order; most subjects of an account lack the same ones."""
    # best[i]: cost of covering wanted[i:], and where its first window ends.
    best: list[tuple[tuple[int, int, int], int]] = [((0, 0, 0), 0)] * (len(wanted) + 1)
    for start in range(len(wanted) - 1, -1, -1):
        options = []
        for end in range(start, len(wanted)):
            span = (wanted[end] - wanted[start]).days + 1
            if span > window_days:
                break
            calls, odd_cuts, asked = best[end + 1][0]
            is_odd_cut = end + 1 < len(wanted) and wanted[end + 1] == wanted[end] + ONE_DAY and wanted[end + 1].day != 1
            options.append(((calls + 1, odd_cuts + is_odd_cut, asked + span), end))
        best[start] = min(options)
    windows, start = [], 0
    while start < len(wanted):
        end = best[start][1]
        windows.append(Window(wanted[start], wanted[end]))
        start = end + 1
    return tuple(windows)


def months_newest_first(first_day: date, last_day: date) -> Iterable[Window]:
    """The calendar months of a range, cut to it, newest first."""
    while first_day <= last_day:
        start = max(first_day, last_day.replace(day=1))
        yield Window(start, last_day)
        last_day = start - ONE_DAY
