"""What the API answers: the documented shapes, made from a world. No network, no faults.

Conventions of the documentation: windows are stated in UTC, rows are stamped with the site's local offset; frequency
``15T`` and raw data carry the **end** of their period, every other frequency the **start** of its local period.
Only periods that are over are answered, and nothing before the site's creation.

Which bound of a window is included is not documented. ``WindowBounds`` says it for stamps at the end of a period:
``(]``, ``[)`` or ``[]``. A stamp at the start of a period covers what follows, so ``t_s`` itself is always included
there and ``t_e`` only under ``[]``. A period that begins inside the window is answered whole.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from itertools import pairwise
from typing import Literal
from zoneinfo import ZoneInfo

from climkit_pipeline.domain.meters import (
    CHARGE_POINT,
    ELECTRICITY,
    SITE_SERIES_TYPES,
    SPLIT_TYPES,
)
from climkit_pipeline.domain.periods import local_midnight_utc, next_month
from climkit_pipeline.simulator.profiles import (
    QUARTERS_PER_DAY,
    SECONDS_PER_QUARTER,
    instant,
    quarter_of,
)
from climkit_pipeline.simulator.registers import MICRO_PER_UNIT, feed_in, solar
from climkit_pipeline.simulator.served import Row, Served, Value, total_of
from climkit_pipeline.simulator.sites import Meter, Site
from climkit_pipeline.simulator.world import World

WindowBounds = Literal["(]", "[)", "[]"]
ListingForm = Literal["objects", "oid", "strings"]
MeterForm = Literal["documented", "older"]

WINDOW_BOUNDS: tuple[WindowBounds, ...] = ("(]", "[)", "[]")
FREQUENCIES = ("15T", "H", "D", "M", "Y")
DEFAULT_WINDOW = timedelta(hours=24)


class RefusedError(Exception):
    """The call gets another status than 200, and the text as its reason."""

    def __init__(self, reason: str, *, status: int) -> None:
        super().__init__(reason)
        self.status = status


class BadRequestError(RefusedError):
    """The call is not one that the documentation allows."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason, status=400)


class UnknownError(RefusedError):
    """There is no such site, meter or sensor."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason, status=404)


@dataclass(frozen=True)
class Window:
    """What a call asks for; None stands for what it left out."""

    t_s: datetime | None = None
    t_e: datetime | None = None
    frequency: str = "15T"


def parse_window(asked: dict[str, object]) -> Window:
    """The window of a request's parameters; BadRequestError names what is wrong with them."""
    t_s, t_e = (_parse_instant(name, asked.get(name)) for name in ("t_s", "t_e"))
    if t_s is not None and t_e is not None and t_e < t_s:
        raise BadRequestError("t_e lies before t_s")
    frequency = asked.get("sampling_frequency")
    if frequency is None:
        frequency = "15T"
    if frequency not in FREQUENCIES:
        raise BadRequestError(f"sampling_frequency must be one of {', '.join(FREQUENCIES)}")
    return Window(t_s, t_e, str(frequency))


def _parse_instant(name: str, text: object) -> datetime | None:
    if text is None:
        return None
    if not isinstance(text, str):
        raise BadRequestError(f"{name} must be an ISO datetime")
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise BadRequestError(f"{name} must be an ISO datetime") from error
    if moment.tzinfo is not None:
        raise BadRequestError(f"{name} must be tz-naive, in UTC")
    if not 1900 < moment.year < 9000:
        raise BadRequestError(f"{name} lies outside any calendar in use")
    return moment.replace(tzinfo=UTC)


@lru_cache(maxsize=4096)
def _stamps(zone: ZoneInfo, day: int) -> tuple[str, ...]:
    start = day * QUARTERS_PER_DAY
    return tuple(instant(start + at).astimezone(zone).isoformat(" ") for at in range(QUARTERS_PER_DAY))


def stamp(zone: ZoneInfo, quarter: int) -> str:
    """An instant as the API writes it: local time with its offset, ``2026-03-22 05:30:00+01:00``."""
    day, at = divmod(quarter, QUARTERS_PER_DAY)
    return _stamps(zone, day)[at]


class Answers:
    """The data calls of the API, each answering what would be sent as JSON."""

    def __init__(
        self,
        world: World,
        *,
        window_bounds: WindowBounds = "(]",
        wide_columns: bool = False,
        listing_form: ListingForm = "objects",
        meter_form: MeterForm = "documented",
    ) -> None:
        if window_bounds not in WINDOW_BOUNDS:
            raise ValueError(f"window_bounds must be one of {', '.join(WINDOW_BOUNDS)}, not {window_bounds!r}")
        self._world = world
        self._bounds = window_bounds
        self._wide_columns = wide_columns
        self._listing_form = listing_form
        self._meter_form = meter_form

    def all_installations(self) -> list[object]:
        """All sites: documented as objects, seen as bare ids; ``listing_form`` chooses."""
        sites = self._world.sites
        if self._listing_form == "strings":
            return [site.site_id for site in sites]
        if self._listing_form == "oid":
            return [{"_id": {"$oid": site.site_id}, "name": site.name} for site in sites]
        return [{"id": site.site_id, "site_ref": site.site_ref, "name": site.name} for site in sites]

    def installation_infos(self, site_id: str, created_late_by: timedelta = timedelta(0)) -> Row:
        """The parameters of one site."""
        site = self._site(site_id)
        created = local_midnight_utc(site.created + created_late_by, site.zone).astimezone(site.zone)
        return {
            "site_ref": site.site_ref,
            "name": site.name,
            "address": {
                "street_name": site.street_name,
                "street_number": site.street_number,
                "city": site.city,
                "postal_code": site.postal_code,
            },
            "creation_date": created.isoformat(),
            "latitude": site.latitude,
            "longitude": site.longitude,
            "timezone": site.zone.key,
        }

    def meter_info(self, site_id: str) -> list[Row]:
        """All meters of a site that are installed now; the older form of an entry has neither name nor mode."""
        site = self._site(site_id)
        served, running = self._world.served(site_id), self._world.last_quarter() + 1
        there = [meter for meter in site.meters if served.is_installed(meter, running)]
        there += [fault.meter for fault in self._world.guests(site_id)]
        if self._meter_form == "older":
            return [
                {"id": meter.id, "type": meter.type, "prim_ad": str(meter.prim_ad), "virtual": meter.is_rule_meter}
                for meter in there
            ]
        return [
            {
                "id": meter.id,
                "type": meter.type,
                "name": meter.name,
                "mode": meter.mode,
                "prim_ad": meter.prim_ad,
                "is_rule_meter": meter.is_rule_meter,
            }
            for meter in there
        ]

    def begins_before_meter(self, site_id: str, meter_id: str, window: Window) -> bool:
        """Whether a window begins when the meter did not exist yet; never for what is no meter."""
        site = self._site(site_id)
        if window.t_s is None or meter_id not in {meter.id for meter in site.meters}:
            return False
        meter, served = site.meter(meter_id), self._world.served(site_id)
        # The first quarter-hour that it counts ends one after it exists.
        return not served.is_installed(meter, _quarter_not_before(window.t_s) + 1)

    def sensors_list(self, site_id: str) -> list[Row]:
        """All sensors of a site."""
        return [
            {"id": sensor.id, "name": sensor.name, "type": sensor.type, "unit": sensor.unit, "model": sensor.model}
            for sensor in self._site(site_id).sensors
        ]

    def site_data(self, site_id: str, meter_type: str, window: Window) -> list[Row]:
        """The series of a site for one type; empty where the site has no meter of that type.

        Electricity counts every consumption meter that is no rule meter, charge points included: only so is
        ``from_ext`` the withdrawal of the grid meter, from which the provider deduces production.
        """
        site = self._site(site_id)
        if meter_type not in SITE_SERIES_TYPES:
            raise BadRequestError(f"the type must be one of {', '.join(SITE_SERIES_TYPES)}")
        consumers = [
            meter
            for meter in (site.counted_consumers if meter_type in SPLIT_TYPES else site.meters)
            if meter_type in (meter.type, ELECTRICITY)
        ]
        if not any(meter.type == meter_type for meter in site.meters):
            return []
        starts, ends, stamps = self._periods(site, window, coarse=meter_type not in SPLIT_TYPES)
        served = self._world.served(site_id)
        consumed = _sum_of(served, [meter.id for meter in consumers], starts, ends)
        columns = {"conso_total": consumed}
        if meter_type == ELECTRICITY:
            columns.update(_exchange(served, site, consumed, starts, ends))
        elif meter_type == CHARGE_POINT:
            columns["self"] = _sum_of(served, [solar(meter.id) for meter in consumers], starts, ends)
            columns["from_ext"] = _minus(consumed, columns["self"])
        if self._wide_columns:
            columns.update(_wide_columns(served, site, meter_type, starts, ends))
        return [row for row in _rows(columns, stamps) if any(row[name] is not None for name in columns)]

    def meter_data(self, site_id: str, meter_id: str, window: Window) -> list[Row]:
        """The validated series of a meter: ``self`` and ``ext`` only where energy is split."""
        site, meter, served, is_there = self._meter(site_id, meter_id)
        starts, ends, stamps = self._periods(site, window, coarse=meter.type not in SPLIT_TYPES)
        rows = _rows(_meter_columns(served, meter, starts, ends), stamps)
        there = [(end, row) for end, row in zip(ends, rows, strict=True) if row["total"] is not None and is_there(end)]
        return [row for _, row in (served.rows(meter, there) if window.frequency == "15T" else there)]

    def meter_data_raw(self, site_id: str, meter_id: str, window: Window) -> list[Row]:
        """The indices of a physical meter, at the end of each of its periods."""
        site, meter, served, is_there = self._meter(site_id, meter_id)
        if meter.is_rule_meter:
            raise BadRequestError("raw data exist for physical meters only")
        quarterly = Window(window.t_s, window.t_e)
        _, ends, stamps = self._periods(site, quarterly, coarse=meter.type not in SPLIT_TYPES)
        return [
            {name: index / MICRO_PER_UNIT for name, index in reading.items()} | {"timestamp": stamp}
            for end, stamp, read in zip(ends, stamps, served.readings(meter, ends), strict=True)
            for reading in (read, served.second_reading(meter, end))
            if reading is not None and is_there(end)
        ]

    def sensor_data(self, site_id: str, sensor_id: str, window: Window) -> list[Row]:
        """The readings of a sensor, at epoch seconds; without a period only the last one."""
        site = self._site(site_id)
        try:
            sensor = site.sensor(sensor_id)
        except KeyError as error:
            raise UnknownError("unknown sensor") from error
        if window.t_s is None and window.t_e is None:
            last = self._world.last_quarter()
            first = max(last, self._world.first_quarter(site_id) + 1)
        else:
            first, last = self._ends(site, window)
        return [
            {"timestamp": quarter * SECONDS_PER_QUARTER, "value": value}
            for quarter, value in self._world.sensor_readings(site_id, sensor, first, last)
        ]

    def _site(self, site_id: str) -> Site:
        try:
            return self._world.site(site_id)
        except KeyError as error:
            raise UnknownError("unknown site") from error

    def _meter(self, site_id: str, meter_id: str) -> tuple[Site, Meter, Served, Callable[[int], bool]]:
        """The site asked, the meter, what is known of its own site, and at which ends of quarter-hours it serves."""
        site = self._site(site_id)
        for fault in self._world.guests(site_id):
            if fault.meter.id == meter_id:
                return site, fault.meter, self._world.served(fault.site_id), fault.__contains__
        served = self._world.served(site_id)
        try:
            meter = site.meter(meter_id)
            return site, meter, served, lambda end: served.is_installed(meter, end)
        except KeyError as error:
            raise UnknownError("unknown meter") from error

    def _instants(self, window: Window) -> tuple[datetime, datetime]:
        t_e = window.t_e or self._world.now()
        return window.t_s or t_e - DEFAULT_WINDOW, t_e

    def _ends(self, site: Site, window: Window) -> tuple[int, int]:
        """The first and the last quarter-hour whose end is answered, counted since 1970 and both included."""
        t_s, t_e = self._instants(window)
        first, last = _quarter_not_before(t_s), quarter_of(t_e)
        if self._bounds == "(]" and instant(first) == t_s:
            first += 1
        if self._bounds == "[)" and instant(last) == t_e:
            last -= 1
        return max(first, self._world.first_quarter(site.site_id) + 1), min(last, self._world.last_quarter())

    def _periods(self, site: Site, window: Window, *, coarse: bool) -> tuple[list[int], list[int], list[str]]:
        """Starts and ends of the periods to answer, as quarter-hours since 1970, and their stamps."""
        step = self._world.step_minutes // 15 if coarse else 1
        if window.frequency == "15T":
            first, last = self._ends(site, window)
            if step == 1:
                ends = list(range(first, last + 1))
                return list(range(first - 1, last)), ends, [stamp(site.zone, end) for end in ends]
            bounds = self._world.coarse_bounds(site, first, last)
            inside = [(start, end) for start, end in pairwise(bounds) if first <= end <= last]
            return [start for start, _ in inside], [end for _, end in inside], [stamp(site.zone, e) for _, e in inside]
        frequency = "D" if window.frequency == "H" and step > 4 else window.frequency
        return self._local_periods(site, window, frequency)

    def _local_periods(self, site: Site, window: Window, frequency: str) -> tuple[list[int], list[int], list[str]]:
        t_s, t_e = self._instants(window)
        created, over = self._world.first_quarter(site.site_id), self._world.last_quarter()
        start, following = _first_period(site.zone, frequency, max(t_s, instant(created)))
        starts, ends, stamps = [], [], []
        while (begin := quarter_of(start)) <= over and (start < t_e or (start == t_e and self._bounds == "[]")):
            upcoming = following(start)
            end = quarter_of(upcoming)
            if end <= over and start >= t_s:
                starts.append(max(begin, created))
                ends.append(end)
                stamps.append(stamp(site.zone, begin))
            start = upcoming
        return starts, ends, stamps


def _sum_of(served: Served, columns: Sequence[str], starts: Sequence[int], ends: Sequence[int]) -> list[Value]:
    parts = [served.advances(column, starts, ends) for column in columns]
    return [total_of(values) for values in zip([0] * len(starts), *parts, strict=True)]


def _exchange(
    served: Served, site: Site, consumed: list[Value], starts: Sequence[int], ends: Sequence[int]
) -> dict[str, list[Value]]:
    grid = site.grid_meter
    taken, given = consumed, [0 if value is not None else None for value in consumed]
    if grid is not None:
        taken, given = served.advances(grid.id, starts, ends), served.advances(feed_in(grid.id), starts, ends)
    own = _minus(consumed, taken)
    produced = [total_of(parts) for parts in zip(own, given, strict=True)]
    return {"prod_total": produced, "from_ext": taken, "self": own, "to_ext": given}


def _meter_columns(served: Served, meter: Meter, starts: Sequence[int], ends: Sequence[int]) -> dict[str, list[Value]]:
    total = served.advances(meter.id, starts, ends)
    if not meter.has_split:
        return {"total": total}
    sunny = served.advances(solar(meter.id), starts, ends)
    return {"total": total, "self": sunny, "ext": _minus(total, sunny)}


def _wide_columns(
    served: Served, site: Site, meter_type: str, starts: Sequence[int], ends: Sequence[int]
) -> dict[str, list[Value]]:
    """The columns of every meter of the type, as ``/meter_data`` has them; null while a meter is not installed."""
    columns: dict[str, list[Value]] = {}
    counted = site.counted_consumers if meter_type == ELECTRICITY else ()
    for meter in dict.fromkeys((*counted, *(meter for meter in site.meters if meter.type == meter_type))):
        is_there = [served.is_installed(meter, end) for end in ends]
        for name, values in _meter_columns(served, meter, starts, ends).items():
            columns[f"{name}_{meter.id}"] = [
                value if there else None for value, there in zip(values, is_there, strict=True)
            ]
    return columns


def _quarter_not_before(moment: datetime) -> int:
    whole = quarter_of(moment)
    return whole if instant(whole) == moment else whole + 1


def _minus(left: list[Value], right: list[Value]) -> list[Value]:
    return [
        None if minuend is None or subtrahend is None else minuend - subtrahend
        for minuend, subtrahend in zip(left, right, strict=True)
    ]


def _rows(columns: dict[str, list[Value]], stamps: Sequence[str]) -> list[Row]:
    """Rows of floats: the division by 10^6 rounds to the nearest double, which JSON writes with 6 decimals at most."""
    names = (*columns, "timestamp")
    floats = [[None if value is None else value / MICRO_PER_UNIT for value in values] for values in columns.values()]
    return [dict(zip(names, row, strict=True)) for row in zip(*floats, stamps, strict=True)]


def _first_period(zone: ZoneInfo, frequency: str, moment: datetime) -> tuple[datetime, Callable[[datetime], datetime]]:
    """The start (UTC) of the local period that holds ``moment``, and the function from a start to the next."""
    if frequency == "H":
        hour = moment.replace(minute=0, second=0, microsecond=0)
        return hour, lambda start: start + timedelta(hours=1)
    floors: dict[str, Callable[[date], date]] = {
        "D": lambda day: day,
        "M": lambda day: day.replace(day=1),
        "Y": lambda day: day.replace(month=1, day=1),
    }
    nexts: dict[str, Callable[[date], date]] = {
        "D": lambda day: day + timedelta(days=1),
        "M": next_month,
        "Y": lambda day: day.replace(year=day.year + 1),
    }
    first = floors[frequency](moment.astimezone(zone).date())
    return (
        local_midnight_utc(first, zone),
        lambda start: local_midnight_utc(nexts[frequency](start.astimezone(zone).date()), zone),
    )
