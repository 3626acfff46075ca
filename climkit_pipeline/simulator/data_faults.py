"""What can be wrong with the data themselves, declared: a kind, a meter, local days.

Here: the kinds, where each makes sense, how they are written on a command line, and which quarter-hours each one
concerns. Not here: what a fault does to rows (``simulator.served``), faults of the transport (``simulator.faults``).

A fault changes what is served, never what was counted: the truth stays the truth. Three kinds are no faults but
circumstances, which do change what was counted: ``vacant`` must raise nothing, ``appears`` and ``vanishes`` say from
when and until when a meter exists.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta

from climkit_pipeline.domain.meters import ELECTRICITY, INTRODUCTION, PRODUCTION, SPLIT_TYPES
from climkit_pipeline.domain.periods import local_midnight_utc, month_start, next_month
from climkit_pipeline.simulator.profiles import dice, quarter_of
from climkit_pipeline.simulator.sites import Meter, Site

NOON = time(12)
"""When a fault of a moment happens: people are awake, the sun shines, and no clock changes."""

REVISED_AFTER = timedelta(days=45)
"""When values are revised, after the last day concerned: later than any rule by which a month may count as settled."""

LAST_FIRST_DAY = 18
"""The last day of a month on which a fault placed at random begins, so that it ends inside the month."""


@dataclass(frozen=True)
class Kind:
    """What a kind means, and how much of a month it takes unless days are given."""

    sentence: str
    fits: Callable[[Meter], bool]
    """Whether it makes sense for a meter."""
    days: int | None = 1
    """How many local days; None is the whole month."""
    intervals: int | None = None
    """How many intervals from noon of the first day on; None is all of every day."""
    is_at_peak: bool = False
    """Whether it takes, of its days, only the highest interval and the one before."""


def _is_physical(meter: Meter) -> bool:
    return not meter.is_rule_meter


def _is_in_split(meter: Meter) -> bool:
    """Whether the provider needs this meter to split a site's energy."""
    return _is_physical(meter) and (meter.has_split or meter.mode == INTRODUCTION)


def _is_consumer(meter: Meter) -> bool:
    return _is_physical(meter) and meter.has_split


def _is_outside_split(meter: Meter) -> bool:
    return _is_physical(meter) and not _is_in_split(meter)


def _has_two_registers(meter: Meter) -> bool:
    return _is_physical(meter) and meter.type in SPLIT_TYPES


def _comes_in_any_step(meter: Meter) -> bool:
    return _is_physical(meter) and meter.type not in SPLIT_TYPES


def _is_household(meter: Meter) -> bool:
    return meter.kind == "flat"


def _never_rests(meter: Meter) -> bool:
    return _is_in_split(meter) and meter.type == ELECTRICITY and meter.mode != INTRODUCTION


def _is_plant(meter: Meter) -> bool:
    return meter.mode == PRODUCTION


KINDS: dict[str, Kind] = {
    "gap": Kind("validated rows are missing although the readings are there", lambda meter: True, days=2),
    "outage": Kind("rows and readings are missing, of a meter that no split needs", _is_outside_split, days=2),
    "missing_sibling": Kind("rows and readings of a meter are missing, and so is the split of all", _is_in_split),
    "no_data": Kind("a whole month without a row or a reading", _is_outside_split, days=None),
    "duplicate": Kind("rows come twice", lambda meter: True, intervals=4),
    "conflict": Kind("rows come twice, the second time with another value", lambda meter: True, intervals=4),
    "replaced_down": Kind("a new meter: its index begins at 0", _is_physical, intervals=1),
    "replaced_read": Kind(
        "a new meter from 0, and two readings at its exchange: the old one's last and its own first",
        _is_physical,
        intervals=1,
    ),
    "replaced_up": Kind("a used meter: its index begins far above the old one's", _is_physical, intervals=1),
    "swapped": Kind("the registers of both directions are exchanged in raw data", _has_two_registers, days=None),
    "rollover": Kind("the index passes a million and begins again at 0", _never_rests, intervals=1),
    "stuck": Kind("the same value again and again, while the index goes on", _is_physical, intervals=8),
    "offline": Kind("zeros, while the index goes on", _never_rests, days=2),
    "spike": Kind("one interval far above the fuse", _is_physical, intervals=1),
    "sentinel": Kind("one interval is a number that stands for 'no value'", _is_physical, intervals=1),
    "late_revision": Kind("too little is served until it is revised, long after the month", _never_rests, days=3),
    "night_production": Kind("the plant produces at night, and the grid meter feeds it in", _is_plant, days=3),
    "wrong_unit": Kind("Wh for kWh, litres for cubic metres: a thousand times too much", _is_physical, days=None),
    "hourly": Kind("rows of heat or water come by the hour, each as large as four", _comes_in_any_step, days=14),
    "noise": Kind("parts are no multiples of a millionth, and nothing is -1.1e-16", _is_consumer, days=None),
    "lone_peak": Kind(
        "the highest interval holds the energy of two, and the one before it 0",
        _never_rests,
        days=None,
        is_at_peak=True,
    ),
    "glitch_at_midnight": Kind("one reading, at the end of the day, is 0", _is_physical),
    "register_zeros": Kind(
        "registers show 0 for four hours, and go on where they were", _has_two_registers, intervals=16
    ),
    "listed_twice": Kind("the meter is listed at the next site, too, with the same rows", _is_household, days=None),
    "null_split": Kind("the total is there, its solar and grid parts are null", _is_consumer, intervals=16),
    "vacant": Kind("nobody lives there: truly nothing is consumed", _is_household, days=None),
    "appears": Kind("the meter exists from that day on", _is_household),
    "vanishes": Kind("the meter exists until the day before", _is_household),
}
CIRCUMSTANCES = frozenset({"vacant", "appears", "vanishes"})
"""Kinds that change what was counted; what is served of it is right."""


@dataclass(frozen=True)
class DataFault:
    """One thing wrong with the data of one meter, on local days of its site, both included.

    ``site`` and ``meter`` are positions or ids. Kinds that take a count of intervals happen from noon of
    ``first_day`` on. ``sentinel`` is the number that stands for "no value"; ``revised_at`` is when, on the clock of
    the world, a late revision comes (45 days after the last day unless given).
    """

    kind: str
    site: int | str
    meter: int | str
    first_day: date
    last_day: date | None = None
    sentinel: float = 4294967.295
    revised_at: datetime | None = None

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"no data fault is called {self.kind!r}; there are: {', '.join(KINDS)}")
        if self.last_day is not None and self.last_day < self.first_day:
            raise ValueError(f"{self.kind} cannot end ({self.last_day}) before it starts ({self.first_day})")


@dataclass(frozen=True)
class PlacedFault:
    """A fault on its meter: the quarter-hours that end in ``first + 1`` to ``last``, counted since 1970."""

    kind: str
    site_id: str
    meter: Meter
    first: int
    last: int
    interval_ends: frozenset[int]
    """Of the meter's own steps, which are longer than a quarter-hour where heat or water comes so."""
    night: tuple[int, ...]
    """Ends of the quarter-hours between 23:00 and 03:00, local time, in order."""
    sentinel: float
    revised_at: datetime
    guest_site: Site | None = None
    """Where the meter is listed, too."""

    def __contains__(self, quarter: int) -> bool:
        return self.first < quarter <= self.last

    def is_there(self, now: datetime) -> bool:
        """Whether it is still to be seen; only a late revision ever goes away."""
        return self.kind != "late_revision" or now < self.revised_at

    def overlaps(self, first: int, last: int) -> bool:
        """Whether any quarter-hour that ends in ``first + 1`` to ``last`` is concerned."""
        return self.first < last and first < self.last

    @property
    def is_at_peak(self) -> bool:
        """Whether it only takes two of its intervals, which depend on what was counted."""
        return KINDS[self.kind].is_at_peak

    def at_peak(self, totals: Sequence[int]) -> PlacedFault:
        """The same fault in its highest interval and the one before; ``totals`` are those of its quarter-hours."""
        highest = max(range(1, len(totals)), key=lambda at: (totals[at], -at))
        last = self.first + highest + 1
        return replace(self, first=last - 2, last=last, interval_ends=frozenset({last - 1, last}))


IntervalEnds = Callable[[Site, Meter, int, int], list[int]]
"""The ends of a meter's intervals that lie in ``first + 1`` to ``last``."""


def place(fault: DataFault, sites: Sequence[Site], interval_ends: IntervalEnds) -> PlacedFault:
    """The fault on its meter; ValueError if there is no such meter, or the kind makes no sense for it."""
    site, meter = _named(fault, sites)
    guest_site = _next_site(site, sites) if fault.kind == "listed_twice" else None
    # A meter that is listed twice serves both from one local day to another of the site to which it does not belong.
    first, last = _span(fault, guest_site or site, meter, interval_ends)
    has_intervals = fault.kind not in CIRCUMSTANCES
    return PlacedFault(
        kind=fault.kind,
        site_id=site.site_id,
        meter=meter,
        first=first,
        last=last,
        interval_ends=frozenset(interval_ends(site, meter, first, last) if has_intervals else ()),
        night=tuple(_night(site, first, last) if fault.kind == "night_production" else ()),
        sentinel=fault.sentinel,
        guest_site=guest_site,
        revised_at=fault.revised_at or local_midnight_utc(fault.last_day or fault.first_day, site.zone) + REVISED_AFTER,
    )


def _next_site(site: Site, sites: Sequence[Site]) -> Site:
    if len(sites) == 1:
        raise ValueError("listed_twice needs another site")
    return sites[(site.position + 1) % len(sites)]


def _span(fault: DataFault, site: Site, meter: Meter, interval_ends: IntervalEnds) -> tuple[int, int]:
    """The quarter-hours concerned: from the end of the first, not included, to the end of the last."""
    first_day, last_day = max(fault.first_day, site.created), fault.last_day or fault.first_day
    if last_day < first_day:
        raise ValueError(f"{fault.kind} on {last_day}: {site.name} exists since {site.created} only")
    first, last = (_local_quarter(site, day) for day in (first_day, last_day + timedelta(days=1)))
    if fault.kind == "appears":
        return 0, first
    if fault.kind == "vanishes":
        return first, _FAR
    count = KINDS[fault.kind].intervals
    if count is None:
        return first, last
    ends = interval_ends(site, meter, first, first + (count + 1) * _LONGEST_INTERVAL)
    concerned = [end for end in ends if end > _local_quarter(site, first_day, NOON)][:count]
    return max((end for end in ends if end < concerned[0]), default=first), concerned[-1]


_LONGEST_INTERVAL = 100
"""Quarter-hours of a day on which clocks are put back."""

_FAR = 10**9
"""A quarter-hour long after all calendars in use."""


def _named(fault: DataFault, sites: Sequence[Site]) -> tuple[Site, Meter]:
    site = next((site for site in sites if fault.site in (site.position, site.site_id)), None)
    meters = enumerate(site.meters) if site else ()
    meter = next((meter for position, meter in meters if fault.meter in (position, meter.id)), None)
    if site is None or meter is None:
        raise ValueError(f"{fault.kind}: no site {fault.site!r} with a meter {fault.meter!r}")
    if not KINDS[fault.kind].fits(meter):
        raise ValueError(f"{fault.kind} makes no sense for {meter.name} ({meter.type}, {meter.mode})")
    return site, meter


def _local_quarter(site: Site, day: date, at: time = time.min) -> int:
    return quarter_of(datetime.combine(day, at, tzinfo=site.zone).astimezone(UTC))


def _night(site: Site, first: int, last: int) -> Iterable[int]:
    for end in range(first + 1, last + 1):
        starts = datetime.fromtimestamp((end - 1) * 900, site.zone)
        if starts.hour == 23 or starts.hour < 3:
            yield end


# --- on the command line ------------------------------------------------------------------------------------------

_FORM = re.compile(r"(?P<kind>\w+)(@(?P<site>[^/]+)/(?P<meter>[^/]+)/(?P<first>[\d-]+)(\.\.(?P<last>[\d-]+))?)?")


def parse_data_faults(text: str, sites: Sequence[Site], *, seed: int, month: date) -> list[DataFault]:
    """The faults written as ``gap,stuck@0/7/2026-03,outage@1/5/2026-03-02..2026-03-04``; ValueError says what is wrong.

    A kind alone takes place on a meter of the seed's choice that has no other fault, in the ``month`` given; with a
    month (``2026-03``), on days of the seed's choice in it; with a day or two, exactly then. Sites and meters are
    positions, from 0, or ids.
    """
    faults: list[DataFault] = []
    for number, part in enumerate(filter(None, (part.strip() for part in text.split(",")))):
        form = _FORM.fullmatch(part)
        if form is None:
            raise ValueError(f"{part!r} is not written as kind, or kind@site/meter/YYYY-MM (or YYYY-MM-DD..YYYY-MM-DD)")
        kind, named = form["kind"], form["site"] is not None
        if kind not in KINDS:
            raise ValueError(f"no data fault is called {kind!r}; there are: {', '.join(KINDS)}")
        if named:
            site, meter = (
                int(name) if len(name) < 10 and name.isdecimal() else name for name in form.group("site", "meter")
            )
        else:
            site, meter = _free_meter(kind, sites, faults, (seed, "data fault", number, kind))
        first, last = _days(kind, form["first"], form["last"], month, (seed, "days", number, kind))
        fault = DataFault(kind, site, meter, first, last)
        _named(fault, sites)
        faults.append(fault)
    return faults


def _position_or_id(name: str) -> int | str:
    return int(name) if name.isdecimal() and len(name) < len("1000000000") else name


def _free_meter(
    kind: str, sites: Sequence[Site], taken: Sequence[DataFault], key: tuple[object, ...]
) -> tuple[str, str]:
    used = {_named(fault, sites)[1].id for fault in taken}
    free = [
        (site.site_id, meter.id)
        for site in sites
        for meter in site.meters
        if KINDS[kind].fits(meter) and meter.id not in used
    ]
    if not free:
        raise ValueError(f"no meter is left for {kind}: name one, or serve more sites")
    return dice(*key).choice(free)


def _days(kind: str, first: str | None, last: str | None, month: date, key: tuple[object, ...]) -> tuple[date, date]:
    try:
        if first and len(first) > len("2026-03"):
            first_day = date.fromisoformat(first)
            return first_day, date.fromisoformat(last) if last else first_day
        if last:
            raise ValueError
        begin = date.fromisoformat(f"{first}-01") if first else month_start(month)
    except ValueError as error:
        written = "..".join(filter(None, (first, last)))
        raise ValueError(f"{kind}: {written!r} is no YYYY-MM, YYYY-MM-DD or YYYY-MM-DD..YYYY-MM-DD") from error
    days = KINDS[kind].days
    if days is None:
        return begin, next_month(begin) - timedelta(days=1)
    first_day = begin.replace(day=dice(*key).randint(5, LAST_FIRST_DAY))
    return first_day, first_day + timedelta(days=days - 1)
