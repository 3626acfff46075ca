"""Two readings of one instant, where a meter was exchanged: the last one of the old device, the first one of the new.

A row is known by its instant, so the reading of the old device is filed a microsecond earlier: both are kept, in the
order in which they were true, and registers are cut between them. Two readings of one instant that the series goes on
from as if nothing had happened are a conflict: only one of them is right.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import polars as pl

from climkit_pipeline.ingest.frames import Finding
from climkit_pipeline.lake.schemas import METER_INDICES, Dataset

JUST_BEFORE = timedelta(microseconds=1)
LARGE = 10
"""How many times as far apart the two readings are as each from its neighbour, if they are of two devices."""
Reading = Sequence[float | None]


def with_both_readings(dataset: Dataset, rows: pl.DataFrame) -> tuple[pl.DataFrame, list[Finding]]:
    """Rows of one meter in the answer's order, both readings of an exchange a microsecond apart; and what is said."""
    at = rows["read_at_utc"]
    if dataset is not METER_INDICES or at.n_unique() == rows.height:
        return rows, []
    values = rows.select(dataset.values).rows()
    places: dict[datetime, list[int]] = {}
    for place, instant in enumerate(at):
        places.setdefault(instant, []).append(place)
    ordered = sorted(places)
    moved: dict[int, datetime] = {}
    for number, instant in enumerate(ordered):
        pair = [place for place in places[instant] if values[place] != values[places[instant][0]]]
        if not pair or len({values[place] for place in places[instant]}) != 2:
            continue
        before = values[places[ordered[number - 1]][-1]] if number else None
        after = values[places[ordered[number + 1]][0]] if number + 1 < len(ordered) else None
        closing = _closing(before, [values[places[instant][0]], values[pair[0]]], after)
        if closing is not None:
            moved |= {place: instant - JUST_BEFORE for place in places[instant] if values[place] == closing}
    if not moved:
        return rows, []
    instants = [moved.get(place, instant) for place, instant in enumerate(at)]
    first = sorted(set(moved.values()))
    samples = tuple(f"{instant + JUST_BEFORE:%Y-%m-%d %H:%M} UTC" for instant in first[:3])
    site_id, meter_id = rows.row(0, named=True)["site_id"], rows.row(0, named=True)["meter_id"]
    found = Finding("two_readings_of_exchange", dataset.name, site_id, meter_id, len(first), samples)
    return rows.with_columns(pl.Series("read_at_utc", instants, dtype=at.dtype)), [found]


def _closing(before: Any, pair: Sequence[Any], after: Any) -> Any:  # noqa: ANN401 - rows of numbers
    """Which of two readings is the last one of the old device; None if they are not of two devices."""
    first, second = pair
    register = max(range(len(first)), key=lambda each: _distance(first[each], second[each]) or 0.0)
    jump = _distance(first[register], second[register])
    if not jump:
        return None
    orders = []
    for closing, opening in ((first, second), (second, first)):
        from_before = _distance(before[register], closing[register]) if before else None
        to_after = _distance(opening[register], after[register]) if after else None
        orders.append(((from_before or 0.0) + (to_after or 0.0), closing, opening))
    away, closing, opening = min(orders, key=lambda order: order[0])
    if before is None or after is None:
        # Half of the evidence: a new device begins lower than the old one ends.
        return closing if opening[register] < closing[register] and jump > LARGE * away else None
    return closing if jump > LARGE * away else None


def _distance(one: float | None, other: float | None) -> float | None:
    return None if one is None or other is None else abs(one - other)
