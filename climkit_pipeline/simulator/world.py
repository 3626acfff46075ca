"""The simulated world: sites, what their meters truly counted, and the truth to compare a pipeline with.

Here: the world as a pure function of its parameters, and its truth. Not here: the API's shapes (``simulator.answers``)
and the network (``simulator.server``).

Purity: ids, places, habits and weather depend on the seed and on positions only. So does every load: a flat counts the
same energy whatever was asked before, in whatever order, and however many sites and meters there are. What follows
from the whole house (the grid meter, and with it the split into solar and grid) depends on which meters the house has.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

from climkit_pipeline.domain.meters import INTRODUCTION, SPLIT_TYPES, unit_of
from climkit_pipeline.domain.periods import local_midnight_utc, month_start, next_month
from climkit_pipeline.simulator.data_faults import CIRCUMSTANCES, DataFault, PlacedFault, place
from climkit_pipeline.simulator.labels import Label, labels_of
from climkit_pipeline.simulator.profiles import (
    QUARTERS_PER_DAY,
    ChargePoint,
    CommonArea,
    Flat,
    Heating,
    Interrupted,
    Load,
    Measured,
    Photovoltaics,
    Water,
    Weather,
    instant,
    quarter_of,
    sensor_values,
)
from climkit_pipeline.simulator.registers import (
    Registers,
    SplitRule,
    feed_in,
    index_columns,
    quarter_of_local_midnight,
    steps,
)
from climkit_pipeline.simulator.served import Served
from climkit_pipeline.simulator.sites import PLACES, ZONES, Meter, Sensor, Site, build_site

__all__ = ["LoadCurve", "Meter", "MonthTruth", "Sensor", "Site", "SiteTruth", "World"]

Curve = Callable[[datetime], float]


@dataclass(frozen=True)
class LoadCurve:
    """A measured load to feed to one meter: the energy of the quarter-hour that starts at the UTC instant given.

    The curve is quantised like any load: it is added up, and the register shows whole steps of ``resolution`` (that
    of the meter unless given; kWh or m3). Energies that are whole multiples of the resolution come out unchanged. It
    is asked for every quarter-hour since the site's creation, more than once, and must answer the same each time.
    """

    energy: Curve
    resolution: Decimal | None = None


@dataclass(frozen=True)
class MonthTruth:
    """What one meter truly counted from ``first_day`` to ``last_day``, local days of the site, both included.

    Only quarter-hours after the site's creation that have ended count. ``solar`` and ``grid`` are None where a split
    has no meaning. ``index_start`` and ``index_end`` hold the registers under their names in raw data; None for rule
    meters, which have no register.
    """

    site_id: str
    meter_id: str
    first_day: date
    last_day: date
    unit: str
    total: Decimal
    solar: Decimal | None
    grid: Decimal | None
    index_start: Mapping[str, Decimal] | None
    index_end: Mapping[str, Decimal] | None
    intervals_expected: int
    """Quarter-hours of the whole local period, elapsed or not: 2972 in March, 2980 in October in Zurich."""
    intervals_counted: int
    """Those since the site's creation that have ended."""


@dataclass(frozen=True)
class SiteTruth:
    """What a site truly consumed and exchanged, in kWh, by the registers of its meters.

    ``production`` is the provider's deduction (consumption - import + feed-in), ``production_metered`` what the
    production meters counted; quantised registers make them differ a little.
    """

    site_id: str
    first_day: date
    last_day: date
    consumption: Decimal
    self_consumption: Decimal
    grid_import: Decimal
    grid_export: Decimal
    production: Decimal
    production_metered: Decimal


def utc_now() -> datetime:
    """The present instant."""
    return datetime.now(UTC)


def exact(millionths: int) -> Decimal:
    """A quantity from its count of 1e-6 units."""
    return Decimal(millionths).scaleb(-6)


class World:
    """Sites with meters, and all they ever counted.

    ``clock`` says what time it is (aware, UTC): nothing later is served or counted. Sites come into being in the
    weeks after ``created``, in ``zones`` by turns (of those that the simulator has places in: Zurich's, Lisbon's and
    New York's). ``step_minutes`` is the step of heat and water series: 15, 60 or 1440. ``load_curves``
    replaces the simulated load of meters, named by (site position or id, meter position or id); the grid meter and
    rule meters follow from the others and take none. ``data_faults`` are laid over what is served; ``labels`` tells
    what they change. ``cached_site_days`` bounds what is kept in memory, about 20 kB each: two sites over two years
    need no day computed twice. ``split_rule`` says whether a consumer's solar part may be below 0 where the site's is
    (``signed``) or not (``clipped``); ``register_step`` is the step of all electricity registers, 0.01 for 10 Wh.
    """

    def __init__(
        self,
        *,
        seed: int = 1,
        sites: int = 2,
        meters: int = 15,
        clock: Callable[[], datetime] = utc_now,
        created: date = date(2025, 1, 1),
        step_minutes: int = 15,
        cached_site_days: int = 2000,
        load_curves: Mapping[tuple[int | str, int | str], Curve | LoadCurve] | None = None,
        data_faults: Sequence[DataFault] = (),
        zones: Sequence[str] = ZONES,
        split_rule: SplitRule = "clipped",
        register_step: Decimal | None = None,
    ) -> None:
        if sites < 0 or meters < 0:
            raise ValueError("a world has no negative number of sites or meters")
        if not zones or not set(zones) <= PLACES.keys():
            raise ValueError(f"sites lie in {', '.join(PLACES)}, not in {', '.join(zones) or 'no zone'}")
        if step_minutes not in {15, 60, 1440}:
            raise ValueError(f"heat and water come in steps of 15, 60 or 1440 minutes, not {step_minutes}")
        self.seed = seed
        self.created = created
        self.step_minutes = step_minutes
        self._clock = clock
        self._lock = threading.Lock()
        self._splits: dict[tuple[str, int, int], dict[str, int]] = {}
        plain = [build_site(seed, position, meters=meters, created=created, zones=zones) for position in range(sites)]
        curves = _resolved(plain, load_curves or {})
        self._split_rule: SplitRule = split_rule
        self.sites: list[Site] = [_with_resolutions(site, curves, register_step) for site in plain]
        self._by_id = {site.site_id: site for site in self.sites}
        self._weather = {site.site_id: _weather(seed, site) for site in self.sites}
        self._faults = [place(fault, self.sites, self.interval_ends) for fault in data_faults]
        self._registers = {
            site.site_id: Registers(
                site,
                {
                    meter.id: self._at_times(_load(site, meter, curves), meter)
                    for meter in site.meters
                    if _has_own_load(meter)
                },
                self._weather[site.site_id],
                keep_days=max(1, cached_site_days // sites),
                split_rule=split_rule,
            )
            for site in self.sites
        }
        self._faults = [self._at_peak(fault) if fault.is_at_peak else fault for fault in self._faults]

    def now(self) -> datetime:
        """What time it is in the world, in UTC."""
        return self._clock().astimezone(UTC)

    def site(self, site_id: str) -> Site:
        """The site with this id; KeyError if there is none."""
        return self._by_id[site_id]

    def registers(self, site_id: str) -> Registers:
        """What the meters of a site have counted, whatever the time is."""
        return self._registers[site_id]

    def served(self, site_id: str) -> Served:
        """What the platform knows of a site now: what was counted, with the faults of the data laid over it."""
        now = self.now()
        faults = [fault for fault in self._faults if fault.site_id == site_id and fault.is_there(now)]
        return Served(self.site(site_id), self._registers[site_id], faults)

    def guests(self, site_id: str) -> list[PlacedFault]:
        """The meters of other sites that are listed at this one, too, since the first day on which they serve both."""
        return [
            fault
            for fault in self._faults
            if fault.guest_site is not None
            and fault.guest_site.site_id == site_id
            and fault.first <= self.last_quarter()
        ]

    def labels(self) -> list[Label]:
        """What each data fault changes, and where: first the meter itself, then those that suffer with it."""
        circumstances = [fault for fault in self._faults if fault.kind in CIRCUMSTANCES]
        return [
            label
            for fault in self._faults
            for label in labels_of(
                fault, self.site(fault.site_id), self._registers[fault.site_id], circumstances, self.interval_ends
            )
        ]

    def interval_ends(self, site: Site, meter: Meter, first: int, last: int) -> list[int]:
        """The ends of a meter's intervals that lie in ``first + 1`` to ``last``, whatever the time is."""
        if meter.type in SPLIT_TYPES or self.step_minutes == 15:
            return list(range(first + 1, last + 1))
        return [end for end in self.coarse_bounds(site, first, last) if end > first]

    def coarse_bounds(self, site: Site, first: int, last: int) -> list[int]:
        """Bounds of heat and water intervals up to ``last``, beginning with one before ``first``."""
        created = quarter_of_local_midnight(site.created, site)
        step = self.step_minutes // 15
        if step == 4:
            return list(range(created + (first - created) // 4 * 4 - 4, last + 1, 4))
        day = instant(max(created, first - 2 * QUARTERS_PER_DAY)).astimezone(site.zone).date()
        bounds = []
        while (bound := quarter_of(local_midnight_utc(day, site.zone))) <= last:
            bounds.append(bound)
            day += timedelta(days=1)
        return bounds

    def first_quarter(self, site_id: str) -> int:
        """The quarter-hour (since 1970-01-01 UTC) with which the site begins."""
        return self._registers[site_id].first_quarter

    def last_quarter(self) -> int:
        """The end of the last quarter-hour that is over, counted since 1970-01-01 UTC."""
        return quarter_of(self.now())

    def sensor_readings(self, site_id: str, sensor: Sensor, first: int, last: int) -> list[tuple[int, float]]:
        """(quarter-hour, value) of the readings taken at the ends ``first`` to ``last``, both included."""
        site = self._by_id[site_id]
        readings: list[tuple[int, float]] = []
        for number in range((first - 1) // QUARTERS_PER_DAY, (last - 1) // QUARTERS_PER_DAY + 1):
            day = self._weather[site_id].day(number, site.zone)
            values = sensor_values(sensor.type, (sensor.id,), day)
            start = number * QUARTERS_PER_DAY + 1
            readings.extend((start + at, value) for at, value in enumerate(values) if first <= start + at <= last)
        return readings

    def month_truth(self, site_id: str, meter_id: str, month: date) -> MonthTruth:
        """What a meter truly counted in the site's local month that holds the day ``month``."""
        return self.truth_between(site_id, meter_id, month_start(month), next_month(month) - timedelta(days=1))

    def truth_between(self, site_id: str, meter_id: str, first_day: date, last_day: date) -> MonthTruth:
        """What a meter truly counted from one local day to another, both included.

        The total is the advance of the register (of the parts' registers for a rule meter), the solar part is worked
        out anew from the registers: neither adds up what is served.
        """
        site = self.site(site_id)
        meter = site.meter(meter_id)
        first, last, expected = self._bounds(site, first_day, last_day)
        counted = site.parts_of(meter) if meter.is_rule_meter else (meter,)
        total = sum(self._advance(site_id, part.id, first, last) for part in counted)
        split = self._split_anew(site, first, last) if meter.has_split else {}
        sunny = sum(split[part.id] for part in counted) if meter.has_split else 0
        index_start = index_end = None
        if not meter.is_rule_meter:
            columns = index_columns(meter)
            index_start = {name: self._index(site_id, column, first) for name, column in columns.items()}
            index_end = {name: self._index(site_id, column, last) for name, column in columns.items()}
        return MonthTruth(
            site_id=site_id,
            meter_id=meter_id,
            first_day=first_day,
            last_day=last_day,
            unit=unit_of(meter.type) or "",
            total=exact(total),
            solar=exact(sunny) if meter.has_split else None,
            grid=exact(total - sunny) if meter.has_split else None,
            index_start=index_start,
            index_end=index_end,
            intervals_expected=expected,
            intervals_counted=last - first,
        )

    def site_truth_between(self, site_id: str, first_day: date, last_day: date) -> SiteTruth:
        """What a site truly consumed and exchanged in electricity from one local day to another, both included."""
        site = self.site(site_id)
        first, last, _ = self._bounds(site, first_day, last_day)
        consumed = sum(self._advance(site_id, meter.id, first, last) for meter in site.counted_consumers)
        grid = site.grid_meter
        imported = consumed if grid is None else self._advance(site_id, grid.id, first, last)
        exported = 0 if grid is None else self._advance(site_id, feed_in(grid.id), first, last)
        return SiteTruth(
            site_id=site_id,
            first_day=first_day,
            last_day=last_day,
            consumption=exact(consumed),
            self_consumption=exact(consumed - imported),
            grid_import=exact(imported),
            grid_export=exact(exported),
            production=exact(consumed - imported + exported),
            production_metered=exact(
                sum(self._advance(site_id, meter.id, first, last) for meter in site.production_meters)
            ),
        )

    def _at_times(self, load: Load, meter: Meter) -> Load:
        """The load with nothing while its meter is not there, or nobody lives behind it."""
        spans = [(f.first, f.last) for f in self._faults if f.meter.id == meter.id and f.kind in CIRCUMSTANCES]
        return Interrupted(load, spans) if spans else load

    def _at_peak(self, fault: PlacedFault) -> PlacedFault:
        registers = self._registers[fault.site_id]
        return fault.at_peak(steps(registers.between(fault.meter.id, fault.first, fault.last)))

    def _bounds(self, site: Site, first_day: date, last_day: date) -> tuple[int, int, int]:
        if last_day < first_day:
            raise ValueError(f"a period cannot end ({last_day}) before it starts ({first_day})")
        start = quarter_of_local_midnight(first_day, site)
        end = quarter_of_local_midnight(last_day + timedelta(days=1), site)
        first = max(start, self.first_quarter(site.site_id))
        return first, max(first, min(end, self.last_quarter())), end - start

    def _advance(self, site_id: str, column: str, first: int, last: int) -> int:
        registers = self._registers[site_id]
        return registers.at(column, last) - registers.at(column, first)

    def _index(self, site_id: str, column: str | None, quarter: int) -> Decimal:
        return exact(self._registers[site_id].at(column, quarter)) if column else Decimal(0)

    def _split_anew(self, site: Site, first: int, last: int) -> dict[str, int]:
        key = (site.site_id, first, last)
        with self._lock:
            known = self._splits.get(key)
        if known is not None:
            return known
        registers = self._registers[site.site_id]
        consumers = [meter.id for meter in site.counted_consumers]
        totals = [steps(registers.between(consumer, first, last)) for consumer in consumers]
        grid = site.grid_meter
        imports = (
            steps(registers.between(grid.id, first, last))
            if grid
            else [sum(parts) for parts in zip(*totals, strict=True)]
        )
        result = dict.fromkeys(consumers, 0)
        for at, imported in enumerate(imports):
            consumed = sum(total[at] for total in totals)
            if not consumed:
                continue
            own = consumed - imported
            if own < 0 and self._split_rule == "clipped":
                continue
            for consumer, total in zip(consumers, totals, strict=True):
                part, rest = divmod(total[at] * own, consumed)
                result[consumer] += part + (2 * rest >= consumed)
        with self._lock:
            self._splits[key] = result
        return result


def _has_own_load(meter: Meter) -> bool:
    return not meter.is_rule_meter and meter.mode != INTRODUCTION


def _resolved(
    sites: list[Site], curves: Mapping[tuple[int | str, int | str], Curve | LoadCurve]
) -> dict[str, LoadCurve]:
    """The curves by meter id; ValueError for a meter that does not exist or follows from others."""
    resolved: dict[str, LoadCurve] = {}
    for (site_name, meter_name), curve in curves.items():
        site = next((site for site in sites if site_name in (site.position, site.site_id)), None)
        meters = enumerate(site.meters) if site else ()
        meter = next((meter for position, meter in meters if meter_name in (position, meter.id)), None)
        if meter is None:
            raise ValueError(f"no site {site_name!r} with a meter {meter_name!r} to feed a load curve to")
        if not _has_own_load(meter):
            raise ValueError(f"{meter.name} follows from the other meters and takes no load curve")
        resolved[meter.id] = curve if isinstance(curve, LoadCurve) else LoadCurve(curve)
    return resolved


def _with_resolutions(site: Site, curves: Mapping[str, LoadCurve], register_step: Decimal | None) -> Site:
    def resolution(meter: Meter) -> Decimal:
        curve = curves.get(meter.id)
        usual = register_step if register_step and meter.type in SPLIT_TYPES else meter.resolution
        return curve.resolution if curve and curve.resolution else usual

    return replace(site, meters=tuple(replace(meter, resolution=resolution(meter)) for meter in site.meters))


def _weather(seed: int, site: Site) -> Weather:
    southern = site.latitude < 42
    return Weather((seed, site.site_id, "weather"), mean=17.0 if southern else 9.6, swing=5.5 if southern else 9.4)


def _load(site: Site, meter: Meter, curves: Mapping[str, LoadCurve]) -> Load:
    curve = curves.get(meter.id)
    if curve is not None:
        return Measured(curve.energy)
    key = (meter.id,)
    loads: dict[str, Callable[[], Load]] = {
        "flat": lambda: Flat(key),
        "common_area": lambda: CommonArea(key),
        "charge_point": lambda: ChargePoint(key),
        "photovoltaics": lambda: Photovoltaics(key, latitude=site.latitude, longitude=site.longitude),
        "building_heat": lambda: Heating(key, kwh_per_degree_day=11.0),
        "flat_heat": lambda: Heating(key, kwh_per_degree_day=1.1),
        "hot_water": lambda: Water(key, cubic_metres_per_day=0.16),
        "cold_water": lambda: Water(key, cubic_metres_per_day=1.1),
    }
    return loads[meter.kind]()
