"""What the platform holds and serves of a site: what was counted, with the faults of the data laid over it.

Here: pure functions of the registers, the faults and the time. Not here: windows, stamps and JSON
(``simulator.answers``), and what a fault is (``simulator.data_faults``).

Faults come in at one of three places, as on a real platform:

1. ``READINGS``: what a meter's register showed. Nothing follows from it: validated values come from the truth.
2. ``VALUES``: the validated energy of one meter. All that the provider works out of it follows: rule meters, the
   series of the site, deduced production, and the split of every meter of the site.
3. ``ROWS``: the rows of a meter's 15-minute series, as sent. Longer frequencies and the site's series know better.

Quantities are counted in 1e-6 kWh (or m3), time in quarter-hours since 1970; None is "no value".
"""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Callable, Sequence

from climkit_pipeline.simulator.data_faults import PlacedFault
from climkit_pipeline.simulator.registers import (
    MICRO_PER_UNIT,
    Registers,
    feed_in,
    index_columns,
    micro,
    own_energy,
    rounded_share,
    solar,
    steps,
)
from climkit_pipeline.simulator.sites import Meter, Site

Row = dict[str, object]
Reading = dict[str, int]
Value = int | None

SPIKE = 250 * MICRO_PER_UNIT
"""250 kWh in a quarter-hour are 1 MW, 250 m3 a burst main: no house has such a connection."""

USED_METER = 20_000 * MICRO_PER_UNIT
"""How much further a used meter's index stands."""

ROLLOVER = 1_000_000 * MICRO_PER_UNIT
"""Where a register with six digits begins again."""

AT_NIGHT = 250_000
"""A quarter of a kWh per quarter-hour: 1 kW, more than any resting plant draws."""

QUARTERS_PER_HOUR = 4

PER_THOUSAND = 1000
"""Wh per kWh, litres per cubic metre."""


# --- 1. readings: (fault, the true reading when it began, quarter-hour, reading) ------------------------------------


def _missing_reading(fault: PlacedFault, _: Reading, quarter: int, reading: Reading) -> Reading | None:
    return None if quarter in fault else reading


def _from_zero(fault: PlacedFault, cut: Reading, quarter: int, reading: Reading) -> Reading:
    return {name: index - cut[name] for name, index in reading.items()} if quarter > fault.first else reading


def _from_far_above(fault: PlacedFault, _: Reading, quarter: int, reading: Reading) -> Reading:
    return {name: index + USED_METER for name, index in reading.items()} if quarter > fault.first else reading


def _rolled_over(fault: PlacedFault, cut: Reading, _: int, reading: Reading) -> Reading:
    # The last step before a million when it began, so that the index passes then, and is a small one before and after.
    last = ROLLOVER - micro(fault.meter)
    return {name: (last + index - cut[name]) % ROLLOVER for name, index in reading.items()}


def _exchanged(fault: PlacedFault, _: Reading, quarter: int, reading: Reading) -> Reading:
    return {"en_im": reading["en_ex"], "en_ex": reading["en_im"]} if quarter in fault else reading


def _thousandfold_reading(fault: PlacedFault, _: Reading, quarter: int, reading: Reading) -> Reading:
    return {name: index * PER_THOUSAND for name, index in reading.items()} if quarter in fault else reading


def _fed_in_at_night(fault: PlacedFault, _: Reading, quarter: int, reading: Reading) -> Reading:
    return reading | {"en_ex": reading["en_ex"] + AT_NIGHT * bisect_right(fault.night, quarter)}


def _read_before(fault: PlacedFault, cut: Reading, quarter: int, reading: Reading) -> Reading:
    return cut if fault.first < quarter < fault.last else reading


def _zero_at_the_end(fault: PlacedFault, _: Reading, quarter: int, reading: Reading) -> Reading:
    return dict.fromkeys(reading, 0) if quarter == fault.last else reading


def _zeros(fault: PlacedFault, _: Reading, quarter: int, reading: Reading) -> Reading:
    return dict.fromkeys(reading, 0) if quarter in fault else reading


READINGS: dict[str, Callable[[PlacedFault, Reading, int, Reading], Reading | None]] = {
    "outage": _missing_reading,
    "missing_sibling": _missing_reading,
    "no_data": _missing_reading,
    "replaced_down": _from_zero,
    "replaced_read": _from_zero,
    "replaced_up": _from_far_above,
    "rollover": _rolled_over,
    "swapped": _exchanged,
    "wrong_unit": _thousandfold_reading,
    "night_production": _fed_in_at_night,
    "lone_peak": _read_before,
    "glitch_at_midnight": _zero_at_the_end,
    "register_zeros": _zeros,
}


# --- 2. validated values: (fault, registers, quarter-hour inside it, true energy) -----------------------------------


def _nothing(_: PlacedFault, __: Registers, ___: int, ____: int) -> None:
    return None


def _zero(_: PlacedFault, __: Registers, ___: int, ____: int) -> int:
    return 0


def _repeated(fault: PlacedFault, registers: Registers, quarter: int, _: int) -> int:
    if quarter not in fault.interval_ends:
        return 0
    column = fault.meter.id
    first = registers.at(column, min(fault.interval_ends)) - registers.at(column, fault.first)
    return first or micro(fault.meter)


def _far_above_the_fuse(fault: PlacedFault, _: Registers, quarter: int, __: int) -> int:
    return SPIKE if quarter in fault.interval_ends else 0


def _stand_in(fault: PlacedFault, _: Registers, quarter: int, __: int) -> int:
    return round(fault.sentinel * MICRO_PER_UNIT) if quarter in fault.interval_ends else 0


def _two_thirds(fault: PlacedFault, _: Registers, __: int, true: int) -> int:
    return true * 2 // 3 // micro(fault.meter) * micro(fault.meter)


def _thousandfold(_: PlacedFault, __: Registers, ___: int, true: int) -> int:
    return true * PER_THOUSAND


def _more_at_night(fault: PlacedFault, _: Registers, quarter: int, true: int) -> int:
    return true + AT_NIGHT * (quarter in fault.night)


VALUES: dict[str, Callable[[PlacedFault, Registers, int, int], Value]] = {
    "outage": _nothing,
    "missing_sibling": _nothing,
    "no_data": _nothing,
    "stuck": _repeated,
    "offline": _zero,
    "spike": _far_above_the_fuse,
    "sentinel": _stand_in,
    "late_revision": _two_thirds,
    "wrong_unit": _thousandfold,
    "night_production": _more_at_night,
}
BOTH_DIRECTIONS = frozenset({"outage", "missing_sibling", "no_data", "wrong_unit"})
"""Kinds that concern what the grid meter feeds in, too."""


# --- 3. rows, as sent ----------------------------------------------------------------------------------------------


def _one_more(row: Row) -> Row:
    return {name: value + 1 if name in {"total", "ext"} and isinstance(value, float) else value
            for name, value in row.items()}  # fmt: skip


ALMOST_NOTHING = -1.1e-10
"""-1.1e-16 kWh: what is left of 0 where numbers are subtracted as floats."""


def _per_unit(row: Row) -> int:
    """Millionths in the unit of a row: rows as sent are floats of kWh, those that labels compare are integers."""
    return MICRO_PER_UNIT if isinstance(row["total"], float) else 1


def _noisy(row: Row) -> Row:
    """Half a millionth goes from solar to grid or back, so that both, rounded each alone, add up to another total."""
    total, sunny = row["total"], row["self"]
    if not isinstance(total, int | float) or not isinstance(sunny, int | float):
        return row
    total, sunny = (round(value * _per_unit(row)) for value in (total, sunny))
    half = -0.5 if sunny % 2 else 0.5
    return _with_values(row, total or ALMOST_NOTHING, sunny + half if sunny else ALMOST_NOTHING)


def _with_values(row: Row, total: float, sunny: float) -> Row:
    per_unit = _per_unit(row)
    values = {"total": total / per_unit, "self": sunny / per_unit, "ext": (total - sunny) / per_unit}
    return {name: values.get(name, value) for name, value in row.items()}


ROWS: dict[str, Callable[[Row], list[Row]]] = {
    "gap": lambda _: [],
    "duplicate": lambda row: [row, row],
    "conflict": lambda row: [row, _one_more(row)],
    "noise": lambda row: [_noisy(row)],
}


def total_of(parts: Sequence[Value]) -> Value:
    """The sum; None if any part is."""
    return None if None in parts else sum(filter(None, parts))


def known_of(parts: Sequence[Value]) -> Value:
    """The sum of what is there; None if nothing is."""
    there = [part for part in parts if part is not None]
    return sum(there) if there or not parts else None


class Served:
    """One site as the platform knows it at one moment; without faults, its registers."""

    def __init__(self, site: Site, registers: Registers, faults: Sequence[PlacedFault]) -> None:
        self._site = site
        self._registers = registers
        self._faults = faults
        self._changes = [
            (fault, _columns(site, fault)) for fault in faults if fault.kind in VALUES or fault.kind == "null_split"
        ]
        self._absences: dict[str, list[PlacedFault]] = defaultdict(list)
        for fault in faults:
            if fault.kind in {"appears", "vanishes"}:
                self._absences[fault.meter.id].append(fault)
        self._split = {solar(meter.id): meter for meter in site.counted_consumers}
        self._sums: dict[str, list[str]] = {}
        for meter in site.meters:
            if meter.is_rule_meter:
                parts = [part.id for part in site.parts_of(meter)]
                self._sums |= {meter.id: parts, solar(meter.id): [solar(part) for part in parts]}

    def advances(self, column: str, starts: Sequence[int], ends: Sequence[int]) -> list[Value]:
        """What a column advanced by in each period; periods follow one another."""
        if not starts:
            return []
        first, last = starts[0], ends[-1]
        if last - first == len(starts):
            return self._steps(column, first, last)
        if not any(fault.overlaps(first, last) for fault, _ in self._changes):
            at = self._registers.at
            return [at(column, end) - at(column, start) for start, end in zip(starts, ends, strict=True)]
        quarters = self._steps(column, first, last)
        return [known_of(quarters[start - first : end - first]) for start, end in zip(starts, ends, strict=True)]

    def readings(self, meter: Meter, ends: Sequence[int]) -> list[Reading | None]:
        """The registers of a physical meter under their names in raw data; None where there is no reading."""
        readings: list[Reading | None] = list(self._true_readings(meter, ends))
        for fault in self._faults:
            if fault.kind in READINGS and self._is_read_from(meter, fault):
                change, cut = READINGS[fault.kind], self._true_readings(meter, [fault.first])[0]
                readings = [
                    reading and change(fault, cut, quarter, reading)
                    for quarter, reading in zip(ends, readings, strict=True)
                ]
        return readings

    def second_reading(self, meter: Meter, end: int) -> Reading | None:
        """The first reading of a new device, at the instant of the last one of its predecessor."""
        for fault in self._faults:
            if fault.kind == "replaced_read" and fault.meter.id == meter.id and fault.first == end:
                return dict.fromkeys(index_columns(meter), 0)
        return None

    def rows(self, meter: Meter, rows: Sequence[tuple[int, Row]]) -> Sequence[tuple[int, Row]]:
        """The rows of a meter's 15-minute series as they are sent, with the ends of their intervals."""
        for fault in self._faults:
            if fault.kind == "hourly" and fault.meter.id == meter.id:
                rows = [each for end, row in rows for each in self._by_the_hour(meter, fault, end, row)]
            if fault.kind == "lone_peak" and fault.meter.id == meter.id:
                rows = [(end, self._both_in_the_last(meter, fault, end, row)) for end, row in rows]
            if fault.kind in ROWS and fault.meter.id == meter.id:
                change = ROWS[fault.kind]
                rows = [(end, sent) for end, row in rows for sent in (change(row) if end in fault else [row])]
        return rows

    def _by_the_hour(self, meter: Meter, fault: PlacedFault, end: int, row: Row) -> list[tuple[int, Row]]:
        if end not in fault:
            return [(end, row)]
        if end % QUARTERS_PER_HOUR:
            return []
        (total,) = self.advances(meter.id, [end - QUARTERS_PER_HOUR], [end])
        # As sent, or counted in millionths as the register counts.
        is_sent = isinstance(row["total"], float)
        return [(end, {**row, "total": total / MICRO_PER_UNIT if is_sent and total is not None else total})]

    def _both_in_the_last(self, meter: Meter, fault: PlacedFault, end: int, row: Row) -> Row:
        if end not in fault:
            return row
        if end < fault.last:
            return _with_values(row, 0, 0)
        (total,), (sunny,) = (self.advances(name, [fault.first], [end]) for name in (meter.id, solar(meter.id)))
        if total is None or sunny is None:
            return row
        return _with_values(row, total, sunny)

    def is_installed(self, meter: Meter, quarter: int) -> bool:
        """Whether the meter was there when that quarter-hour ended."""
        return not any(quarter in fault for fault in self._absences.get(meter.id, ()))

    def _steps(self, column: str, first: int, last: int) -> list[Value]:
        """The column's energy in each quarter-hour that ends in ``first + 1`` to ``last``."""
        values: list[Value] = list(steps(self._registers.between(column, first, last)))
        for fault, columns in self._changes:
            start, stop = max(first, fault.first), min(last, fault.last)
            if start >= stop:
                continue
            concerned = slice(start - first, stop - first)
            if column in self._split or column in self._sums:
                values[concerned] = self._deduced(column, start, stop)
            elif column in columns:
                change = VALUES[fault.kind]
                values[concerned] = [
                    None if true is None else change(fault, self._registers, quarter, true)
                    for quarter, true in enumerate(values[concerned], start=start + 1)
                ]
        return values

    def _deduced(self, column: str, first: int, last: int) -> list[Value]:
        """What the provider works out from the validated values of other meters: sums, and the split."""
        if column in self._sums:
            parts = [self._steps(part, first, last) for part in self._sums[column]]
            return [total_of(values) for values in zip(*parts, strict=True)]
        meter, grid = self._split[column], self._site.grid_meter
        totals = {consumer.id: self._steps(consumer.id, first, last) for consumer in self._split.values()}
        whole = [total_of(parts) for parts in zip(*totals.values(), strict=True)]
        withdrawn = whole if grid is None else self._steps(grid.id, first, last)
        nulls = [fault for fault, columns in self._changes if fault.kind == "null_split" and column in columns]
        return [
            None
            if total is None or consumed is None or taken is None or any(first + at in fault for fault in nulls)
            else rounded_share(total, own_energy(consumed, taken, self._registers.split_rule), consumed)
            for at, (total, consumed, taken) in enumerate(zip(totals[meter.id], whole, withdrawn, strict=True), start=1)
        ]

    def _true_readings(self, meter: Meter, ends: Sequence[int]) -> list[Reading]:
        columns = index_columns(meter)
        indices = [self._indices(column, ends) for column in columns.values()]
        return [dict(zip(columns, values, strict=True)) for values in zip(*indices, strict=True)]

    def _indices(self, column: str | None, quarters: Sequence[int]) -> list[int]:
        """What a column stood at, at each of ``quarters``, which ascend."""
        if column is None:
            return [0] * len(quarters)
        if quarters and quarters[-1] - quarters[0] == len(quarters) - 1:
            return self._registers.between(column, quarters[0], quarters[-1])
        return [self._registers.at(column, quarter) for quarter in quarters]

    def _is_read_from(self, meter: Meter, fault: PlacedFault) -> bool:
        return fault.meter.id == meter.id or (fault.kind == "night_production" and meter == self._site.grid_meter)


def _columns(site: Site, fault: PlacedFault) -> frozenset[str]:
    """The columns of registers that a fault changes by itself; what is deduced from them follows."""
    if fault.kind == "null_split":
        return frozenset({solar(fault.meter.id)})
    columns = {fault.meter.id}
    if fault.kind in BOTH_DIRECTIONS:
        columns.add(feed_in(fault.meter.id))
    if fault.kind == "night_production" and site.grid_meter is not None:
        columns.add(feed_in(site.grid_meter.id))
    return frozenset(columns)
