"""What the meters of one site have counted: cumulative integers at every quarter-hour since its creation.

Here: true energy, the quantised registers made of it, and the provider's split computed from the registers. Not here:
rows, windows, time zones of answers (``simulator.answers``).

A *column* is a cumulative quantity in 1e-6 kWh (or m3) at the end of each quarter-hour. There is one per physical
register, one for the feed-in of the grid meter, and one for the solar part of every consumer. All that is served for
any period is a difference of two such values, so days add up to months exactly.
"""

from __future__ import annotations

import threading
from array import array
from collections import OrderedDict
from collections.abc import Mapping
from datetime import date
from itertools import accumulate, pairwise
from typing import Literal

from climkit_pipeline.domain.meters import INTRODUCTION, PRODUCTION, SPLIT_TYPES, THERMAL_TYPES
from climkit_pipeline.domain.periods import local_midnight_utc
from climkit_pipeline.simulator.profiles import QUARTERS_PER_DAY, Load, Weather, quarter_of
from climkit_pipeline.simulator.sites import Meter, Site

MICRO_PER_UNIT = 1_000_000
NANO_PER_MICRO = 1_000
SplitRule = Literal["clipped", "signed"]
Columns = dict[str, list[int]]
Packed = dict[str, "array[int]"]


def feed_in(meter_id: str) -> str:
    """The column of what the grid meter exported."""
    return f"{meter_id}/feed_in"


def solar(meter_id: str) -> str:
    """The column of a consumer's solar part, which may step back a little where indices are coarse."""
    return f"{meter_id}/solar"


def index_columns(meter: Meter) -> dict[str, str | None]:
    """The names of a physical meter's registers in raw data, with their columns; None is a register at zero.

    A production meter counts what it produces in ``en_ex``, as seen from the plant, and nothing in ``en_im``. The
    grid meter counts withdrawal in ``en_im`` and feed-in in ``en_ex``. Other meters export nothing.
    """
    if meter.is_rule_meter:
        raise ValueError(f"{meter.name} has no register of its own")
    if meter.mode == PRODUCTION:
        return {"en_im": None, "en_ex": meter.id}
    if meter.mode == INTRODUCTION:
        return {"en_im": meter.id, "en_ex": feed_in(meter.id)}
    if meter.type in SPLIT_TYPES:
        return {"en_im": meter.id, "en_ex": None}
    return {"heat_energy_kwh" if meter.type in THERMAL_TYPES else "vol_m3": meter.id}


def micro(meter: Meter) -> int:
    """The register's resolution in 1e-6 of its unit."""
    return int(meter.resolution * MICRO_PER_UNIT)


def rounded_share(total: int, share: int, whole: int) -> int:
    """``total * share / whole`` to the nearest integer, a half upwards; 0 where there is no consumption to share."""
    return (2 * total * share + whole) // (2 * whole) if whole else 0


def own_energy(consumed: int, withdrawn: int, rule: SplitRule) -> int:
    """What of a site's consumption came from its own plants, as the provider's rule shares it out.

    Coarse registers make it negative at times. The one real answer that is public shows the consumers' parts clipped at
    0 then, and the site's own value unclipped; ``signed`` is the rule of the provider's article.
    """
    own = consumed - withdrawn
    return max(own, 0) if rule == "clipped" else own


class Registers:
    """The columns of one site, computed a UTC day at a time and safe to read from several threads."""

    def __init__(
        self,
        site: Site,
        loads: Mapping[str, Load],
        weather: Weather,
        *,
        keep_days: int,
        split_rule: SplitRule = "clipped",
    ) -> None:
        self._site = site
        self.split_rule = split_rule
        self._loads = dict(loads)
        self._weather = weather
        self._lock = threading.Lock()
        self.first_quarter = quarter_of(local_midnight_utc(site.created, site.zone))
        """The quarter-hour with which the site begins."""
        self._first_day = self.first_quarter // QUARTERS_PER_DAY
        self._starts: list[dict[str, int]] = [{}]
        self._days: OrderedDict[int, Packed] = OrderedDict()
        self._keep_days = keep_days
        self._consumers = [meter.id for meter in site.counted_consumers]
        self._producers = [meter.id for meter in site.production_meters]

    @property
    def cached_days(self) -> int:
        """How many days are in memory now, about 20 kB each."""
        return len(self._days)

    def at(self, column: str, quarter: int) -> int:
        """What ``column`` stood at, ``quarter`` quarter-hours after 1970-01-01 UTC; 0 before the site existed."""
        day, offset = divmod(quarter, QUARTERS_PER_DAY)
        if day < self._first_day:
            return 0
        with self._lock:
            return self._day(day)[column][offset]

    def between(self, column: str, first: int, last: int) -> list[int]:
        """What ``column`` stood at, at each quarter-hour from ``first`` to ``last``, both included."""
        values: list[int] = []
        while first <= last:
            day, offset = divmod(first, QUARTERS_PER_DAY)
            until = min(last + 1, (day + 1) * QUARTERS_PER_DAY)
            if day < self._first_day:
                values.extend([0] * (until - first))
            else:
                with self._lock:
                    values.extend(self._day(day)[column][offset : offset + until - first])
            first = until
        return values

    def _day(self, day: int) -> Packed:
        known = self._days.get(day)
        if known is not None:
            self._days.move_to_end(day)
            return known
        while len(self._starts) <= day - self._first_day:
            self._compute(self._first_day + len(self._starts) - 1)
        return self._compute(day)

    def _compute(self, number: int) -> Packed:
        start = self._starts[number - self._first_day]
        true_energy = self._true_energy(number)
        nano = {column: list(accumulate(drawn, initial=start.get(column, 0))) for column, drawn in true_energy.items()}
        columns: Columns = {}
        for meter in self._site.meters:
            for column in (meter.id, feed_in(meter.id)):
                if column in nano:
                    step = micro(meter)
                    columns[column] = [value // (step * NANO_PER_MICRO) * step for value in nano[column]]
        self._split(columns, start)
        end = {column: values[-1] for column, values in nano.items()}
        end.update({solar(consumer): columns[solar(consumer)][-1] for consumer in self._consumers})
        if len(self._starts) == number - self._first_day + 1:
            self._starts.append(end)
        packed = {column: array("q", values) for column, values in columns.items()}
        self._days[number] = packed
        while len(self._days) > self._keep_days:
            self._days.popitem(last=False)
        return packed

    def _true_energy(self, number: int) -> Columns:
        day = self._weather.day(number, self._site.zone)
        drawn = {meter_id: load.quarters(day) for meter_id, load in self._loads.items()}
        missing = self.first_quarter - number * QUARTERS_PER_DAY
        if missing > 0:
            for energies in drawn.values():
                energies[:missing] = [0] * missing
        grid = self._site.grid_meter
        if grid is not None:
            nothing = [0] * QUARTERS_PER_DAY
            demand = map(sum, zip(nothing, *(drawn[consumer] for consumer in self._consumers), strict=True))
            supply = map(sum, zip(nothing, *(drawn[producer] for producer in self._producers), strict=True))
            balance = [wanted - produced for wanted, produced in zip(demand, supply, strict=True)]
            drawn[grid.id] = [max(energy, 0) for energy in balance]
            drawn[feed_in(grid.id)] = [max(-energy, 0) for energy in balance]
        return drawn

    def _split(self, columns: Columns, start: Mapping[str, int]) -> None:
        """Add the solar columns, by the provider's rule, and the columns of rule meters."""
        totals = {consumer: steps(columns[consumer]) for consumer in self._consumers}
        nothing = [0] * QUARTERS_PER_DAY
        whole = [sum(parts) for parts in zip(nothing, *totals.values(), strict=True)]
        grid = self._site.grid_meter
        withdrawn = whole if grid is None else steps(columns[grid.id])
        shares = [own_energy(*each, self.split_rule) for each in zip(whole, withdrawn, strict=True)]
        for consumer, total in totals.items():
            parts = map(rounded_share, total, shares, whole)
            columns[solar(consumer)] = list(accumulate(parts, initial=start.get(solar(consumer), 0)))
        for meter in self._site.meters:
            if meter.is_rule_meter:
                parts_of = [part.id for part in self._site.parts_of(meter)]
                columns[meter.id] = [sum(v) for v in zip(*(columns[part] for part in parts_of), strict=True)]
                columns[solar(meter.id)] = [
                    sum(v) for v in zip(*(columns[solar(part)] for part in parts_of), strict=True)
                ]


def steps(column: list[int]) -> list[int]:
    """The differences between neighbours."""
    return [later - earlier for earlier, later in pairwise(column)]


def quarter_of_local_midnight(day: date, site: Site) -> int:
    """The quarter-hour with which the local ``day`` begins at ``site``."""
    return quarter_of(local_midnight_utc(day, site.zone))
