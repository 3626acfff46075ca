"""Half-open periods in UTC, and the local days and months of a site.

Here: instants, periods, local calendar days and months, with daylight saving. Not here: what the API calls a time
(``api.answers``), or which periods to ask for (``ingest.windows``).

Conventions, used everywhere: an interval belongs to the local day and month of its **start**; a reading (register
index, sensor) belongs to the local day ``(start, end]``, so the reading at midnight closes the day before.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

QUARTER_HOUR = timedelta(minutes=15)
LARGEST_CLOCK_DIFFERENCE = timedelta(minutes=15)
"""Between this machine and the server, an interval: more is a wrong clock, and would also move what counts as late."""
ONE_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True, order=True)
class Period:
    """The instants from ``start_utc`` (included) to ``end_utc`` (not included), both aware and in UTC."""

    start_utc: datetime
    end_utc: datetime

    def __post_init__(self) -> None:
        for instant in (self.start_utc, self.end_utc):
            if instant.utcoffset() != timedelta(0):
                raise ValueError(f"a period is stated in UTC, not as {instant!r}")
        if self.end_utc < self.start_utc:
            raise ValueError(f"a period cannot end ({self.end_utc}) before it starts ({self.start_utc})")

    def __contains__(self, instant: datetime) -> bool:
        return self.start_utc <= instant < self.end_utc

    @property
    def duration(self) -> timedelta:
        """Elapsed time between the bounds."""
        return self.end_utc - self.start_utc

    def intervals(self, step: timedelta = QUARTER_HOUR) -> Iterator[Period]:
        """The consecutive intervals of length ``step`` that tile the period; a shorter rest is left out."""
        start = self.start_utc
        while start + step <= self.end_utc:
            yield Period(start, start + step)
            start += step

    def count(self, step: timedelta = QUARTER_HOUR) -> int:
        """How many whole intervals of length ``step`` the period holds."""
        return self.duration // step


def written_date(text: str) -> date:
    """A date as people write it: 2026-12-31, or 31.12.2026 as in Switzerland. Raises ValueError for anything else."""
    if found := re.fullmatch(r"(\d{1,2})\.(\d{1,2})\.(\d{4})", text):
        return date(int(found[3]), int(found[2]), int(found[1]))
    if re.fullmatch(r"\d{4}-\d{2}-\d{2}", text):
        return date.fromisoformat(text)
    raise ValueError(f"{text!r} is not a date")


def local_midnight_utc(day: date, zone: ZoneInfo) -> datetime:
    """The instant in UTC at which the local ``day`` begins in ``zone``."""
    return datetime.combine(day, time.min, tzinfo=zone).astimezone(UTC)


@lru_cache(maxsize=8192)
def local_day(day: date, zone: ZoneInfo) -> Period:
    """The local calendar day: 23, 24 or 25 hours long where clocks change."""
    return Period(local_midnight_utc(day, zone), local_midnight_utc(day + ONE_DAY, zone))


def local_days(first: date, last: date, zone: ZoneInfo) -> Period:
    """The local calendar days from ``first`` to ``last``, both included."""
    return Period(local_midnight_utc(first, zone), local_midnight_utc(last + ONE_DAY, zone))


def month_start(day: date) -> date:
    """The first day of the month of ``day``."""
    return day.replace(day=1)


def next_month(day: date) -> date:
    """The first day of the month after the month of ``day``."""
    return (day.replace(day=1) + timedelta(days=32)).replace(day=1)


def last_month(day: date) -> date:
    """The first day of the month before the month of ``day``."""
    return month_start(month_start(day) - ONE_DAY)


def local_month(day: date, zone: ZoneInfo) -> Period:
    """The local calendar month that holds ``day``."""
    return Period(local_midnight_utc(month_start(day), zone), local_midnight_utc(next_month(day), zone))


def dates_between(first: date, last: date) -> list[date]:
    """Every date from ``first`` to ``last``, both included; empty when reversed."""
    return [first + timedelta(days=offset) for offset in range((last - first).days + 1)]


def local_date_of_interval(interval_start_utc: datetime, zone: ZoneInfo) -> date:
    """The local day that an interval belongs to: that of its start."""
    return interval_start_utc.astimezone(zone).date()


def local_date_of_reading(read_at_utc: datetime, zone: ZoneInfo) -> date:
    """The local day ``(start, end]`` that a reading belongs to: at midnight, the day that just ended."""
    # Not "at local 00:00": where clocks change at midnight (Azores, Beirut) a day starts at 01:00 or has 00:00 twice.
    return (read_at_utc - timedelta.resolution).astimezone(zone).date()
