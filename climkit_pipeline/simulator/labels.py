"""What each fault of the data really changes: the answer key for whoever looks for faults.

A label is measured, not stated: what a site serves with one fault is compared with what it serves without any.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import date, datetime

from climkit_pipeline.domain.periods import month_start
from climkit_pipeline.simulator.data_faults import CIRCUMSTANCES, IntervalEnds, PlacedFault
from climkit_pipeline.simulator.profiles import instant
from climkit_pipeline.simulator.registers import Registers, solar
from climkit_pipeline.simulator.served import Reading, Row, Served
from climkit_pipeline.simulator.sites import Meter, Site


@dataclass(frozen=True)
class Label:
    """What one fault changes for one meter."""

    kind: str
    site_id: str
    meter_id: str
    cause_meter_id: str
    """The meter that has the fault; others suffer with it, by the provider's split and sums."""
    months: tuple[date, ...]
    """The first days of the local months concerned; a reading at midnight between two months concerns both."""
    first_utc: datetime
    """A quarter-hour before the first end concerned."""
    last_utc: datetime
    """The end of the last interval, or the last reading, concerned."""
    intervals: int
    """How many of the meter's intervals are served otherwise than without the fault, missing and doubled included."""
    readings: int
    """The same for readings; of a replaced or passed index, the one reading at the cut."""

    @property
    def is_cause(self) -> bool:
        """Whether this is the meter that has the fault."""
        return self.meter_id == self.cause_meter_id

    def as_row(self) -> dict[str, object]:
        """The label as a line of a table: months in one cell, instants in ISO."""
        return asdict(self) | {
            "months": " ".join(f"{month:%Y-%m}" for month in self.months),
            "first_utc": self.first_utc.isoformat(),
            "last_utc": self.last_utc.isoformat(),
        }


def labels_of(
    fault: PlacedFault,
    site: Site,
    registers: Registers,
    circumstances: Sequence[PlacedFault],
    interval_ends: IntervalEnds,
) -> list[Label]:
    """The labels of a fault: that of its meter first, then those of the meters that suffer with it.

    A meter that is listed at two sites is labelled at both, with all that both serve.

    A circumstance is labelled with its meter alone, and serves nothing otherwise; a meter that appears or vanishes
    with the quarter-hour in which it does.
    """
    if fault.kind in CIRCUMSTANCES:
        edge = {"appears": fault.last, "vanishes": fault.first}.get(fault.kind)
        ends = [edge + 1] if edge is not None else interval_ends(site, fault.meter, fault.first, fault.last)
        return [_label(fault, site, fault.meter, ends)]
    if fault.guest_site is not None:
        ends = interval_ends(fault.guest_site, fault.meter, fault.first, fault.last)
        labels = [_label(fault, at, fault.meter, ends) for at in (site, fault.guest_site)]
        return [replace(label, intervals=len(ends), readings=len(ends)) for label in labels]
    faulty, right = (Served(site, registers, [*circumstances, *faults]) for faults in ([fault], []))
    labels = []
    for meter in sorted(site.meters, key=lambda meter: meter.id != fault.meter.id):
        ends = interval_ends(site, meter, fault.first, fault.last)
        intervals = _differing(*(_rows_by_end(served, meter, fault.first, ends) for served in (faulty, right)))
        readings = _differing(*(_readings_by_end(served, meter, ends) for served in (faulty, right)))
        if intervals or readings:
            label = _label(fault, site, meter, sorted({*intervals, *readings}), readings)
            labels.append(replace(label, intervals=len(intervals), readings=len(readings)))
    return labels


def _label(fault: PlacedFault, site: Site, meter: Meter, ends: Sequence[int], readings: Sequence[int] = ()) -> Label:
    # An interval belongs to the month of its start; a quarter-hour before its end is inside it, whatever its step.
    # A reading at the end of a month closes it and opens the next.
    instants = [*(instant(end - 1) for end in ends), *(instant(end) for end in readings)]
    months = {month_start(moment.astimezone(site.zone).date()) for moment in instants}
    return Label(
        kind=fault.kind,
        site_id=site.site_id,
        meter_id=meter.id,
        cause_meter_id=fault.meter.id,
        months=tuple(sorted(months)),
        first_utc=instant(ends[0] - 1),
        last_utc=instant(ends[-1]),
        intervals=0,
        readings=0,
    )


def _rows_by_end(served: Served, meter: Meter, first: int, ends: Sequence[int]) -> dict[int, list[Row]]:
    starts = [first, *ends[:-1]]
    totals = served.advances(meter.id, starts, ends)
    sunny = served.advances(solar(meter.id), starts, ends) if meter.has_split else totals
    rows: list[tuple[int, Row]] = [
        (end, {"total": total, "self": part})
        for end, total, part in zip(ends, totals, sunny, strict=True)
        if total is not None and served.is_installed(meter, end)
    ]
    sent: dict[int, list[Row]] = defaultdict(list)
    for end, row in served.rows(meter, rows):
        sent[end].append(row)
    return sent


def _readings_by_end(served: Served, meter: Meter, ends: Sequence[int]) -> dict[int, Reading | None]:
    if meter.is_rule_meter:
        return {}
    readings = zip(ends, served.readings(meter, ends), strict=True)
    return {end: reading for end, reading in readings if served.is_installed(meter, end)}


def _differing(one: Mapping[int, object], other: Mapping[int, object]) -> list[int]:
    return [end for end in {*one, *other} if one.get(end) != other.get(end)]
