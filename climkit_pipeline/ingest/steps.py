"""How long the intervals of a series are: told by the distances of their stamps, row by row.

A heat or water meter may be read hourly until a day and every quarter of an hour from then on, so one answer may hold
rows of several lengths: each row has the one that its neighbours show, whatever the others have. Not here: electricity,
whose intervals are a quarter of an hour long, and meters of which somebody has stated it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import datetime, time, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

from climkit_pipeline.lake.coverage import DAILY_MINUTES, QUARTER_HOUR_MINUTES

STEPS_MINUTES = (QUARTER_HOUR_MINUTES, 30, 60, DAILY_MINUTES)
"""Steps that heat and water series may come in."""
ROWS_OF_A_FINER_STEP = 3
"""In a row, before a few rows amid longer ones are taken for shorter intervals, and not for stamps gone astray."""
DAYS_OF_A_DAILY_STEP = 2
"""In a row, before midnights alone are taken for daily values, and not for what an outage left of quarter-hours."""


def step_minutes(stamps: Sequence[datetime], known: int | None = None, zone: ZoneInfo | None = None) -> int:
    """The usual step of a series in minutes: the most common distance of its stamps, else ``known``, else 15.

    Stamps that are all midnights in ``zone`` are daily ones: several always, a lone one if no step is known. A step
    longer than the known one needs a whole day of it: rows that are hours apart may also be what an outage left.
    """
    ordered = sorted(set(stamps))
    is_telling = len(ordered) > 1 or (ordered and known is None)
    if zone and is_telling and all(_is_midnight(stamp, zone) for stamp in ordered):
        return DAILY_MINUTES
    distances = Counter(later - earlier for earlier, later in pairwise(ordered))
    if distances:
        commonest, times = distances.most_common(1)[0]
        found = next((minutes for minutes in STEPS_MINUTES if commonest == timedelta(minutes=minutes)), None)
        if timedelta(hours=23) <= commonest <= timedelta(hours=25):
            found = DAILY_MINUTES
        if found and (known is None or found <= known or (times + 1) * found >= DAILY_MINUTES):
            return found
    return known or QUARTER_HOUR_MINUTES


def steps_of(
    stamps: Sequence[datetime], usual: int, zone: ZoneInfo, *, before: int | None = None, after: int | None = None
) -> dict[datetime, int]:
    """The step in minutes of each row by its stamp, at the end of its interval, where it is another than ``usual``.

    ``before`` and ``after`` are the steps of the days on either side, as far as they are known: a longer step that goes
    on there needs no whole day here.
    """
    ordered = sorted(set(stamps))
    found: list[int | None] = [None] * len(ordered)
    for minutes in STEPS_MINUTES:
        if minutes == usual:
            continue
        for first, last, whole in _stretches(ordered, minutes, usual, zone):
            goes_on = (first == 1 and before == minutes) or (last == len(ordered) - 1 and after == minutes)
            if goes_on or whole >= _rows_needed(minutes, usual):
                found[first : last + 1] = [minutes] * (last + 1 - first)
    _follow_neighbours(ordered, found, usual)
    return {stamp: minutes for stamp, minutes in zip(ordered, found, strict=True) if minutes and minutes != usual}


def _rows_needed(minutes: int, usual: int) -> int:
    """How many intervals in a row show a step: an outage of a finer series looks just like a longer one."""
    if minutes < usual:
        return ROWS_OF_A_FINER_STEP
    return DAYS_OF_A_DAILY_STEP if minutes == DAILY_MINUTES else DAILY_MINUTES // minutes - 1


def _stretches(ordered: Sequence[datetime], minutes: int, usual: int, zone: ZoneInfo) -> Iterator[tuple[int, int, int]]:
    """Rows that follow one another by whole steps: the first's and the last's position, and how many by just one."""
    first, whole = None, 0
    for position in range(1, len(ordered)):
        distance = _distance(ordered[position - 1], ordered[position], minutes, usual, zone)
        if distance is None:
            if first is not None:
                yield first, position - 1, whole
            first, whole = None, 0
            continue
        first = position if first is None else first
        whole += distance == 1
    if first is not None:
        yield first, len(ordered) - 1, whole


def _distance(earlier: datetime, later: datetime, minutes: int, usual: int, zone: ZoneInfo) -> int | None:
    """How many steps lie between two stamps; None if it is no whole number of them, or one of the usual step."""
    if minutes == DAILY_MINUTES:
        if not (_is_midnight(earlier, zone) and _is_midnight(later, zone)):
            return None
        return (later.astimezone(zone).date() - earlier.astimezone(zone).date()).days
    step = timedelta(minutes=minutes)
    number, rest = divmod(later - earlier, step)
    is_on_grid = int(later.timestamp()) % min(step, timedelta(hours=1)).total_seconds() == 0
    is_of_usual = minutes < usual and later - earlier >= timedelta(hours=23 if usual == DAILY_MINUTES else usual / 60)
    return None if rest or not is_on_grid or is_of_usual else number


def _follow_neighbours(ordered: Sequence[datetime], found: list[int | None], usual: int) -> None:
    """Give the rows after a gap, and the first one, the step of the row that follows at once, else that before."""
    for position in reversed(range(len(ordered))):
        if found[position] is not None:
            continue
        if position and _is_one(ordered[position] - ordered[position - 1], usual):
            found[position] = usual
        elif position + 1 < len(ordered):
            following = found[position + 1] or usual
            if _is_one(ordered[position + 1] - ordered[position], following):
                found[position] = following
    for position, minutes in enumerate(found):
        if minutes is None and position and found[position - 1] is not None:
            fits = ordered[position] - ordered[position - 1] >= timedelta(minutes=found[position - 1] or 0)
            found[position] = found[position - 1] if fits else None


def _is_one(distance: timedelta, minutes: int) -> bool:
    """Whether rows of a step are neighbours; a day may be an hour shorter or longer."""
    tolerance = timedelta(hours=1) if minutes == DAILY_MINUTES else timedelta(0)
    return abs(distance - timedelta(minutes=minutes)) <= tolerance


def _is_midnight(stamp: datetime, zone: ZoneInfo) -> bool:
    return stamp.astimezone(zone).time() == time.min
