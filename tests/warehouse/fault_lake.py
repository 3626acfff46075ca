"""A lake in which every site has one thing wrong, or only looks so: October 2026 in Zurich, hourly values, known truth.

Each site is named for its case and has a meter ``m`` whose register counts what its intervals state, unless the case
says otherwise. Values are thousandths from a seeded generator; what a test expects is computed from them here.
"""

from __future__ import annotations

import random
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from functools import cached_property
from typing import Any
from zoneinfo import ZoneInfo

from small_lake import AS_OF, KATHMANDU, OCTOBER, QUARTER, ZURICH, SmallLake, days, midnight, starts, thousandths

from climkit_pipeline.lake import journals
from climkit_pipeline.lake.layout import Layout
from climkit_pipeline.lake.schemas import API_CALLS, FINDINGS, STATED_MONTHS

HOUR = timedelta(hours=1)
MONTH = date(2026, 10, 1)
HOURS = [start for day in OCTOBER for start in starts(day, ZURICH, HOUR)]
OPENING = midnight(date(2026, 10, 1), ZURICH)
CLOSING = midnight(date(2026, 11, 1), ZURICH)
ZERO, HALF_KWH = Decimal(0), Decimal("0.5")

Series = dict[datetime, Decimal | None]


def local_day(instant: datetime) -> date:
    return instant.astimezone(ZURICH).date()


def hour(day: int, number: int) -> datetime:
    """The start of hour ``number`` of a day in October."""
    return midnight(date(2026, 10, day), ZURICH) + number * HOUR


def span(first: datetime, count: int) -> list[datetime]:
    return [first + number * HOUR for number in range(count)]


MICRO = Decimal("0.000001")


@dataclass(frozen=True)
class DaySums:
    """Sums and counts of some intervals; a quantity that no interval states is None."""

    total: Decimal | None = None
    solar: Decimal | None = None
    grid: Decimal | None = None
    present: int = 0
    null: int = 0

    @classmethod
    def of(cls, row: dict[str, Any]) -> DaySums:
        stated = (row.get(name) for name in ("total", "solar", "grid"))
        # To a millionth, as bills are: what a float carries beyond that is noise.
        total, solar, grid = (
            None if number is None else Decimal(str(number)).quantize(MICRO, ROUND_HALF_UP) for number in stated
        )
        # Rounded one by one, parts may miss the whole by a millionth or two: grid is what is left.
        if total is not None and solar is not None and grid is not None and abs(total - solar - grid) <= 2 * MICRO:
            grid = total - solar
        return cls(total, solar, grid, present=int(row["total"] is not None), null=int(row["total"] is None))

    def __add__(self, other: DaySums) -> DaySums:
        return DaySums(
            added(self.total, other.total), added(self.solar, other.solar), added(self.grid, other.grid),
            self.present + other.present, self.null + other.null,
        )  # fmt: skip


def added(one: Decimal | None, other: Decimal | None) -> Decimal | None:
    """The sum of what is there."""
    return other if one is None else one if other is None else one + other


@dataclass
class FaultLake:
    """The lake, and the totals that each (site, meter) states."""

    lake: SmallLake = field(default_factory=SmallLake)
    stated: dict[tuple[str, str], Series] = field(default_factory=dict)
    findings: list[dict] = field(default_factory=list)
    calls: list[dict] = field(default_factory=list)
    stated_months: list[dict] = field(default_factory=list)

    def write(self, layout: Layout) -> None:
        self.lake.write(layout)
        journals.append(layout, FINDINGS, self.findings)
        journals.append(layout, API_CALLS, self.calls)
        journals.append(layout, STATED_MONTHS, self.stated_months)

    def total(self, site: str, meter: str = "m", first: int = 1, last: int = 31) -> Decimal:
        """The sum of what was stated from one day of October to another."""
        bounds = hour(first, 0), midnight(date(2026, 10, last) + timedelta(days=1), ZURICH)
        stated = self.stated[site, meter].items()
        return sum((value for start, value in stated if value is not None and bounds[0] <= start < bounds[1]), ZERO)

    @cached_property
    def days_by_meter(self) -> dict[tuple[str, str], dict[date, DaySums]]:
        """What the lake's current intervals add up to, by meter and the site's own local day, without any SQL."""
        found: dict[tuple[str, str], dict[date, DaySums]] = {}
        for row in self.lake.current("meter_intervals"):
            day = row["interval_start_utc"].astimezone(LEAP_ZONES.get(row["site_id"], ZURICH)).date()
            of_meter = found.setdefault((row["site_id"], row["meter_id"]), {})
            of_meter[day] = of_meter.get(day, DaySums()) + DaySums.of(row)
        return found

    @cached_property
    def listings(self) -> dict[tuple[str, str], list[tuple[date, bool]]]:
        """By meter and day: whether it is listed as one whose energy is split into solar and grid."""
        found: dict[tuple[str, str], list[tuple[date, bool]]] = {}
        for name, day in sorted(self.lake.rows):
            for row in self.lake.rows[name, day] if name == "meters" else []:
                kind = row["meter_type"], row["meter_mode"]
                found.setdefault((row["site_id"], row["meter_id"]), []).append(
                    (day, kind in {("electricity", "consumption"), ("charge_point", "consumption")})
                )
        return found

    def has_split(self, meter: tuple[str, str], first: date, last: date) -> bool:
        """Whether the meter was a consumer on any of these days; before its first list, what that says.

        Where no list states a mode, it is one if most of its values are split.
        """
        if meter[0] == "nameless":
            return NAMELESS[meter[1]][1] > 0.5
        listed = self.listings[meter]
        before = [is_split for day, is_split in listed if day <= first] or [listed[0][1]]
        return before[-1] or any(is_split for day, is_split in listed if first < day <= last)

    @cached_property
    def created(self) -> dict[str, date]:
        """The local date on which each site was created."""
        return {
            row["site_id"]: row["created_at_utc"].astimezone(ZoneInfo(row["timezone"])).date()
            for (name, _), rows in self.lake.rows.items() if name == "sites" for row in rows
        }  # fmt: skip

    @cached_property
    def steps(self) -> dict[tuple[str, str], timedelta]:
        """The length of each meter's last interval; where there is none, as last asked for."""
        asked = {
            (row["site_id"], row["subject_id"]): timedelta(minutes=row["interval_minutes"])
            for name, day in sorted(self.lake.coverage) if name == "meter_intervals"
            for row in self.lake.coverage[name, day]
        }  # fmt: skip
        rows = sorted(self.lake.current("meter_intervals"), key=lambda row: row["interval_start_utc"])
        return asked | {
            (row["site_id"], row["meter_id"]): row["interval_end_utc"] - row["interval_start_utc"]
            for row in rows if row["total"] is not None
        }  # fmt: skip

    def over(self, site: str, first: date, last: date) -> list[date]:
        """The local days of the site from its creation on that had ended at the last call."""
        zone, end = LEAP_ZONES.get(site, ZURICH), AS_OF.astimezone(LEAP_ZONES.get(site, ZURICH)).date()
        first, last = max(first, self.created[site]), min(last, end - timedelta(days=1))
        return [day for day in days(first, last) if midnight(day + timedelta(days=1), zone) <= AS_OF]

    def unasked(self, meter: tuple[str, str], first: date, last: date) -> dict[str, int]:
        """What days count for of which nobody ever asked anything."""
        zone, step = LEAP_ZONES.get(meter[0], ZURICH), self.steps[meter]
        over = self.over(meter[0], first, last)
        due = sum(round((midnight(day + timedelta(days=1), zone) - midnight(day, zone)) / step) for day in over)
        return {"days_over": len(over), "intervals_expected": due, "intervals_missing": due}

    def add_site(self, site: str, *, created: datetime = datetime(2020, 1, 1, tzinfo=UTC)) -> None:
        for day in OCTOBER:
            self.lake.add(
                "sites", day, site_id=site, site_name=f"House {site}", created_at_utc=created, timezone=str(ZURICH),
                is_timezone_assumed=False, latitude=47.0, longitude=8.5,
            )  # fmt: skip
            for dataset in ("sites", "meters", "sensors"):
                self.lake.cover(dataset, day, site, site)

    def add_meter(
        self,
        site: str,
        meter: str = "m",
        *,
        type_: str = "electricity",
        mode: str = "consumption",
        is_rule: bool = False,
        series: Series | None = None,
        solar_share: Decimal = ZERO,
        listed_until: int = 31,
        asked_until: int = 31,
        states: dict[int, str] | None = None,
        equal_after_month: int = 2,
        mode_until: tuple[int, str] | None = None,
        unasked: Collection[int] = (),
    ) -> Series:
        """List, fill and cover one meter; without ``series``, an ordinary one. Days without a state are complete.

        ``mode_until`` names the last day of October on which it was listed with another mode.
        """
        series = ordinary(site + meter) if series is None else series
        self.stated[site, meter] = series
        for day in OCTOBER[:listed_until]:
            listed = mode_until[1] if mode_until and day.day <= mode_until[0] else mode
            self.lake.add(
                "meters", day, site_id=site, meter_id=meter, meter_name=f"{site} {meter}", meter_type=type_,
                meter_mode=listed, primary_address=1, is_rule_meter=is_rule,
            )  # fmt: skip
        for start, total in series.items():
            listed = mode_until[1] if mode_until and local_day(start).day <= mode_until[0] else mode
            has_split = type_ == "electricity" and listed == "consumption"
            solar = None if total is None or not has_split else round(total * solar_share, 3)
            self.lake.add(
                "meter_intervals", local_day(start), site_id=site, meter_id=meter, interval_start_utc=start,
                interval_end_utc=start + HOUR, total=None if total is None else float(total),
                solar=None if solar is None else float(solar), grid=None if solar is None else float(total - solar),
            )  # fmt: skip
        for day in OCTOBER[:asked_until]:
            if day.day in unasked:
                continue
            state = (states or {}).get(day.day, "complete")
            self.lake.cover(
                "meter_intervals", day, site, meter, state, interval_minutes=60, equal_after_month=equal_after_month
            )
        return series

    def add_site_series(self, site: str, *, failed_day: int | None = None, **hourly: Series) -> None:
        """Quarter-hours of the site, each a quarter of what its hour states."""
        for start in sorted(set().union(*hourly.values())):
            stated = {name: float(series[start] / 4) for name, series in hourly.items() if start in series}
            for begin in (start + QUARTER * number for number in range(4)):
                self.lake.add(
                    "site_intervals", local_day(start), site_id=site, meter_type="electricity",
                    interval_start_utc=begin, interval_end_utc=begin + QUARTER, **stated,
                )  # fmt: skip
        for day in OCTOBER:
            failed = day.day == failed_day
            state, expected = ("failed", None) if failed else ("complete", len(starts(day, ZURICH)))
            self.lake.cover("site_intervals", day, site, "electricity", state, expected=expected)

    def read(self, site: str, readings: dict[datetime, dict[str, Decimal]], meter: str = "m") -> None:
        """Raw readings by instant; coverage says complete where there are some, gap where there are none."""
        days = {local_day(at - timedelta(microseconds=1)) for at in readings}
        for at, registers in readings.items():
            values = {name: float(value) for name, value in registers.items()}
            day = local_day(at - timedelta(microseconds=1))
            self.lake.add("meter_indices", day, site_id=site, meter_id=meter, read_at_utc=at, **values)
        for day in sorted({date(2026, 9, 30), *OCTOBER, *days}):
            self.lake.cover("meter_indices", day, site, meter, "complete" if day in days else "gap")


def ordinary(key: str, first: datetime = OPENING) -> Series:
    generator = random.Random(key)  # noqa: S311 - test data
    return {start: Decimal(str(thousandths(generator, 100, 900))) for start in HOURS if start >= first}


def counted(series: Series, index: Decimal = Decimal(1000), register: str = "index_import_kwh") -> dict:
    """Readings of a register that counts the series, with one at its beginning."""
    readings = {min(series): {register: index}}
    for start in sorted(series):
        index += series[start] or 0
        readings[start + HOUR] = {register: index}
    return readings


def shifted(readings: dict, first: datetime, by: Decimal, register: str = "index_import_kwh") -> dict:
    return {at: {register: row[register] + (by if at >= first else 0)} for at, row in readings.items()}


def without(series: Series, hours: Iterable[datetime]) -> Series:
    gone = set(hours)
    return {start: total for start, total in series.items() if start not in gone}


def with_values(series: Series, hours: Iterable[datetime], value: str) -> Series:
    changed = dict.fromkeys(hours, Decimal(value))
    return {start: changed.get(start, total) for start, total in series.items()}


CUT = hour(12, 10)


def build_fault_lake() -> FaultLake:
    house = FaultLake()
    _add_registers(house)
    _add_series(house)
    _add_lives(house)
    _add_sites(house)
    _add_spoilt(house)
    _add_doubled(house)
    _add_stated_months(house)
    _add_sums(house)
    _add_balances(house)
    _add_flows(house)
    _add_last_year(house)
    _add_leap_year(house)
    _add_swaps(house)
    _add_swapped_month(house)
    _add_unread(house)
    _add_replacements(house)
    _add_absurd_readings(house)
    _add_restless_readings(house)
    _add_load_curves(house)
    _add_bounds(house)
    _add_units(house)
    _add_sparse_readings(house)
    _add_periods(house)
    _add_edges(house)
    _add_holes(house)
    _add_weighed(house)
    _add_grades(house)
    _add_nameless(house)
    _add_shared(house)
    _add_lone_peaks(house)
    _add_split_rules(house)
    _add_off_line(house)
    _add_exchanged_devices(house)
    return house


def dated_lake() -> FaultLake:
    """Of these the sites whose registers depend on dates in meters.csv."""
    house = FaultLake()
    _add_registers(house)
    _add_replacements(house)
    _add_restless_readings(house)
    _add_bounds(house)
    return house


def _add_registers(house: FaultLake) -> None:
    def site(name: str, **arguments) -> Series:
        house.add_site(name)
        return house.add_meter(name, **arguments)

    series = site("clean", equal_after_month=0)  # only its index confirms it
    house.read("clean", counted(series))

    series = site("fall")
    plain = counted(series)
    house.read("fall", shifted(plain, CUT + HOUR, 5 - plain[CUT + HOUR]["index_import_kwh"]))

    series = site("jump")
    house.read("jump", shifted(counted(series), CUT + HOUR, Decimal(500)))

    series = site("rollover")
    run = counted(series, Decimal("99900"))
    house.read("rollover", {at: {k: v % 100000 for k, v in row.items()} for at, row in run.items()})

    series = site("swapped")
    run = counted(series, register="index_export_kwh")
    house.read("swapped", {at: {**row, "index_import_kwh": Decimal(3)} for at, row in run.items()})

    series = site("exchanged")
    house.read("exchanged", {
        at: {"index_import_kwh": row["index_import_kwh"], "index_export_kwh": Decimal(7)} if at <= EXCHANGED
        else {"index_import_kwh": Decimal(7), "index_export_kwh": row["index_import_kwh"]}
        for at, row in counted(series).items()
    })  # fmt: skip

    series = site("glitch")
    house.read("glitch", {**counted(series), hour(9, 5): {"index_import_kwh": ZERO}})

    series = site("load_curve", equal_after_month=0)
    house.read("load_curve", {start + HOUR: {"index_import_kwh": total} for start, total in series.items()})

    series = site("morning")  # read once a day, at six
    house.read("morning", {
        at: row for at, row in counted({OPENING - 18 * HOUR: ZERO, **series}).items() if at.astimezone(ZURICH).hour == 6
    } | {CLOSING + 6 * HOUR: {"index_import_kwh": 1002 + sum(series.values())}})  # fmt: skip

    series = site("estimated")
    house.read("estimated", {
        at: row for at, row in counted(series).items() if not hour(10, 0) < at < hour(13, 0)
    })  # fmt: skip

    series = site("wrong_unit")
    house.read("wrong_unit", {
        at: {"index_import_kwh": row["index_import_kwh"] * 1000} for at, row in counted(series).items()
    })  # fmt: skip

    series = site("wrong_register", type_="heating")
    house.read("wrong_register", counted(series, register="volume_m3"))

    house.add_site("created", created=hour(10, 0))
    series = house.add_meter("created", series=ordinary("created", hour(10, 0)))
    readings = counted(series, ZERO)
    del readings[hour(10, 0)]
    house.read("created", readings)


def _add_series(house: FaultLake) -> None:
    def site(name: str, series: Series | None = None, **arguments) -> Series:
        house.add_site(name)
        return house.add_meter(name, series=series, **arguments)

    site("gap", without(ordinary("gap"), span(hour(7, 22), 4)), states={7: "gap", 8: "gap"})
    site("changed_clock", without(ordinary("changed_clock"), [hour(25, 2)]), states={25: "gap"})
    site("overlap", {**ordinary("overlap"), hour(6, 3) + timedelta(minutes=7): HALF_KWH})

    truth = ordinary("stuck")
    site("stuck", with_values(truth, span(hour(8, 6), 8), "0.777"))
    house.read("stuck", counted(truth))
    steady = site("steady", with_values(ordinary("steady"), span(hour(8, 6), 8), "0.777"))
    house.read("steady", counted(steady))

    truth = ordinary("sentinel")
    site("sentinel", with_values(truth, [hour(8, 6)], "65535"))
    house.read("sentinel", counted(truth))
    site("spike", with_values(ordinary("spike"), [hour(8, 6)], "40"), is_rule=True)
    site("spike_unread", with_values(ordinary("spike_unread"), [hour(8, 6)], "40"))
    # Two wrong days, of which each must not make the other one usual.
    site("spiked_twice", with_values(ordinary("spiked_twice"), [hour(8, 6), hour(20, 6)], "40"))
    site("stuck_twice", with_values(ordinary("stuck_twice"), [*span(hour(8, 6), 8), *span(hour(20, 6), 8)], "0.777"))
    site("negative", with_values(ordinary("negative"), [hour(8, 6)], "-0.5"), is_rule=True)
    site("null_value", {**ordinary("null_value"), hour(8, 6): None})

    sunny = {start: Decimal(2) + (start.hour * ordinary("night")[start]) for start in HOURS}
    night = {start: sunny[start] if 7 <= start.hour <= 15 else ZERO for start in HOURS}
    series = site("night", {**night, hour(9, 1): HALF_KWH}, mode="production")
    house.read("night", counted(series, register="index_export_kwh"))

    empty = site("empty_flat", dict.fromkeys(HOURS, ZERO), equal_after_month=0)
    house.read("empty_flat", counted(empty))
    warm = site("warm", dict.fromkeys(HOURS, ZERO), type_="heating", equal_after_month=0)
    house.read("warm", counted(warm, register="heat_kwh"))
    truth = ordinary("zeros")
    site("zeros", with_values(truth, span(hour(5, 0), 24 * 8), "0"))
    house.read("zeros", counted(truth))


def _add_lives(house: FaultLake) -> None:
    def site(name: str, series: Series | None = None, **arguments) -> None:
        house.add_site(name)
        house.add_meter(name, series=series, **arguments)

    site("starts", ordinary("starts", hour(9, 0)), states=dict.fromkeys(range(1, 9), "empty"))
    ending = {start: total for start, total in ordinary("ends").items() if start < hour(21, 0)}
    site("ends", ending, states=dict.fromkeys(range(21, 32), "gap"))
    site("vanished", {start: total + 1 for start, total in ending.items()}, listed_until=20, asked_until=20)
    for state in ("failed", "pending"):
        site(state, without(ordinary(state), span(hour(9, 0), 24)), states={9: state})
    site("silent", {}, states=dict.fromkeys(range(1, 32), "gap"))
    site("once", is_rule=True, equal_after_month=1)
    site("mode", mode="introduction", mode_until=(14, "consumption"))
    house.add_site("moved")
    old = {start: total for start, total in ordinary("old").items() if start < hour(15, 0)}
    house.add_meter("moved", "old", series=old, states=dict.fromkeys(range(15, 32), "gap"))
    house.add_meter("moved", "new", series=ordinary("new", hour(15, 0)), states=dict.fromkeys(range(1, 15), "empty"))


def _add_sites(house: FaultLake) -> None:
    house.add_site("siblings")
    house.add_meter("siblings", "a")
    house.add_meter("siblings", "b", series=without(ordinary("b"), [hour(7, 5)]), states={7: "gap"})

    house.add_site("unequal")
    house.add_meter("unequal", "a", solar_share=Decimal("0.5"))
    house.add_meter("unequal", "b", solar_share=Decimal("0.25"))

    house.add_site("unbalanced")
    series = house.add_meter("unbalanced")
    for start, total in series.items():
        house.lake.add(
            "site_intervals", local_day(start), site_id="unbalanced", meter_type="electricity",
            interval_start_utc=start, interval_end_utc=start + HOUR, consumption=float(total * 2), production=0.0,
            grid_import=float(total * 2) - (0.1 if start == hour(3, 4) else 0), self_consumption=0.0, grid_export=0.0,
        )  # fmt: skip
    for day in OCTOBER:
        hours = len(starts(day, ZURICH, HOUR))
        house.lake.cover("site_intervals", day, "unbalanced", "electricity", expected=hours, interval_minutes=60)

    _add_no_import(house)


FROM_NOWHERE, TOLERATED = hour(9, 5), hour(10, 5)
"""Hours in which the site draws nothing, and its consumer more than 50 Wh from the grid, or just that."""


def _add_no_import(house: FaultLake) -> None:
    house.add_site("no_import")
    series = {**ordinary("no_import"), FROM_NOWHERE: Decimal("0.051"), TOLERATED: Decimal("0.050")}
    house.add_meter("no_import", series=series)
    nothing = dict.fromkeys(series, ZERO)
    alone = {start: total if start in {FROM_NOWHERE, TOLERATED} else ZERO for start, total in series.items()}
    house.add_site_series(
        "no_import", consumption=series, production=alone, self_consumption=alone, grid_export=nothing,
        grid_import={start: total - alone[start] for start, total in series.items()},
    )  # fmt: skip


def both_ways(site: str, meter: str) -> dict[str, Series]:
    """What a meter counts in each direction, hour by hour."""
    return {direction: ordinary(f"{site} {meter} {direction}") for direction in ("import", "export")}


def hourly_both_ways(forward: Series, backward: Series) -> dict:
    """Readings of registers that count ``forward`` (import) from 100 and ``backward`` from 7000."""
    rows = counted(forward, Decimal(100)), counted(backward, Decimal(7000), "index_export_kwh")
    return {at: row | rows[1][at] for at, row in rows[0].items()}


def at_midnights(forward: Series, backward: Series) -> dict:
    """The same, read at local midnight only."""
    rows = hourly_both_ways(forward, backward)
    return {at: row for at, row in rows.items() if at.astimezone(ZURICH).hour == 0}


EXCHANGED = hour(15, 0)
"""After this reading, import and export of a meter are stated in each other's column."""
FLOW_SITES = [
    "stated",
    "two_ways",
    "unstated",
    "no_store",
    "incomplete",
    "unread",
    "crossed",
    "crossing",
    "changed_grid",
]


FLOW_NAMES = {"grid": ("grid_import", "grid_export"), "store": ("storage_charge", "storage_discharge")}


def _add_flows(house: FaultLake) -> None:
    """Sites with grid connections (``grid``, …) and batteries (``store``, …) beside a consumer ``m``."""
    modes = {"grid": "introduction", "store": "battery"}
    for site in FLOW_SITES:
        house.add_site(site)
        house.add_meter(site)
    for site, meters in {
        "stated": ["grid", "store"],
        "two_ways": ["grid", "grid2", "store", "store2"],
        "unstated": ["grid", "store"],
        "no_store": ["grid", "store"],
        "incomplete": ["grid"],
        "unread": ["grid", "grid2"],
    }.items():
        for meter in meters:
            flows = both_ways(site, meter)
            if site == "stated":
                drawn, fed_in = FLOW_NAMES[meter]
                flows = {"import": flow_of_site(site, drawn), "export": flow_of_site(site, fed_in)}
            house.add_meter(site, meter, mode=modes[meter.rstrip("2")], series=flows["import"])
            if site not in {"unstated", "unread"}:
                house.read(site, at_midnights(flows["import"], flows["export"]), meter)

    for site in ("stated", "no_store", "incomplete"):
        import_, export = (flow_of_site(site, name) for name in ("grid_import", "grid_export"))
        store = {name: flow_of_site(site, name) for name in ("storage_charge", "storage_discharge") if site == "stated"}
        used = house.stated[site, "m"]
        if site == "incomplete":
            import_ = without(import_, [hour(6, 4)])
        house.add_site_series(
            site, consumption=used, production=export, self_consumption=dict.fromkeys(used, ZERO), grid_import=import_,
            grid_export=export, **store,
        )  # fmt: skip

    flows = both_ways("crossed", "grid")
    for meter, registers in {"grid": ("export", "import"), "grid2": ("import", "export")}.items():
        house.add_meter("crossed", meter, mode="introduction", series=flows["import"])
        house.read("crossed", at_midnights(*(flows[name] for name in registers)), meter)

    # The columns of the first meter change places on the 15th.
    for meter in ("grid", "grid2"):
        flows = both_ways("crossing", meter)
        house.add_meter("crossing", meter, mode="introduction", series=flows["import"])
        straight = hourly_both_ways(flows["import"], flows["export"])
        house.read("crossing", straight | {
            at: {"index_import_kwh": row["index_export_kwh"], "index_export_kwh": row["index_import_kwh"]}
            for at, row in straight.items() if meter == "grid" and at > EXCHANGED
        }, meter)  # fmt: skip

    # The connection was replaced on the 15th: the site's series is of both meters together.
    series = ordinary("changed_grid grid")
    for meter, mine, listed_until in (
        ("grid", {start: total for start, total in series.items() if start < hour(15, 0)}, 14),
        ("grid2", {start: total for start, total in series.items() if start >= hour(15, 0)}, 31),
    ):
        states = dict.fromkeys(range(1, 15) if meter == "grid2" else range(15, 32), "empty")
        house.add_meter(
            "changed_grid", meter, mode="introduction", series=mine, listed_until=listed_until, states=states
        )
    used = house.stated["changed_grid", "m"]
    nothing = dict.fromkeys(used, ZERO)
    house.add_site_series(
        "changed_grid", consumption=used, production=nothing, self_consumption=nothing, grid_import=used,
        grid_export=nothing,
    )  # fmt: skip


def flow_of_site(site: str, name: str) -> Series:
    """What the site states of a direction: not what the registers of its meters count."""
    return ordinary(f"{site} states {name}")


LAST_YEAR = days(date(2025, 10, 1), date(2025, 10, 31))
TIMES_LAST_YEAR = {"four_times": "4", "five_times": "5", "a_fifth": "0.2", "five_confirmed": "5"}
"""This October's cold water against the last one's."""


def _add_last_year(house: FaultLake) -> None:
    """Daily values of two Octobers; ``five_confirmed`` was read, ``little`` is too little to be compared."""
    for site, times in {**TIMES_LAST_YEAR, "little": "5"}.items():
        house.add_site(site)
        base = Decimal("0.5") if site == "little" else Decimal(5)
        index, readings = Decimal(0), {OPENING: {"volume_m3": Decimal(0)}}
        for day in [*LAST_YEAR, *OCTOBER]:
            total = base if day.year == 2025 else base * Decimal(times)
            start, end = midnight(day, ZURICH), midnight(day + timedelta(days=1), ZURICH)
            house.stated.setdefault((site, "m"), {})[start] = total
            house.lake.add(
                "meter_intervals", day, site_id=site, meter_id="m", interval_start_utc=start, interval_end_utc=end,
                total=float(total),
            )  # fmt: skip
            house.lake.cover("meter_intervals", day, site, "m", interval_minutes=1440)
            house.lake.add(
                "meters", day, site_id=site, meter_id="m", meter_name=f"{site} m", meter_type="cold_water",
                meter_mode="consumption", primary_address=1, is_rule_meter=False,
            )  # fmt: skip
            if day.year == 2026:
                index += total
                readings[end] = {"volume_m3": index}
        if site == "five_confirmed":
            house.read(site, readings)


SPOILT = {
    # meter: (type, mode, whether it is a rule meter)
    "wrong": ("electricity", "consumption", False),
    "right": ("electricity", "consumption", False),
    "silent": ("electricity", "introduction", False),
    "plant": ("electricity", "production", False),
    "heat": ("heating", "consumption", False),
    "sum": ("electricity", "consumption", True),
    "heat sum": ("heating", "consumption", True),
}


def doubled(site: str, code: str, at: list[datetime], dataset: str = "meter_intervals", subject: str = "m") -> dict:
    """What is found in an answer of the day of the last call, two hours before it."""
    return {
        "found_at_utc": AS_OF - 2 * HOUR, "code": code, "dataset": dataset, "site_id": site, "subject_id": subject,
        "first_day": OCTOBER[0], "last_day": OCTOBER[-1], "occurrences": len(at), "samples": [str(each) for each in at],
    }  # fmt: skip


def asked_again(site: str, first: datetime, last: datetime) -> dict:
    """A later answer about a part of the month."""
    return {
        **dict.fromkeys(API_CALLS.columns), "run_id": site, "sequence": 1, "attempt": 1, "endpoint": "meter_data",
        "site_id": site, "subject_id": "m", "window_start_utc": first, "window_end_utc": last, "outcome": "ok",
        "started_at_utc": AS_OF - HOUR,
    }  # fmt: skip


def _add_doubled(house: FaultLake) -> None:
    """What answers held twice is told by findings alone: the lake keeps one row for each key."""
    noon = hour(11, 12)
    for site, code, at in (
        ("twice", "duplicate_rows", [noon, hour(31, 23)]),
        ("disputed", "conflicting_rows", [noon, hour(12, 0)]),
        ("disputed_once", "conflicting_rows", [noon]),
        ("disputed_filled", "conflicting_rows", [noon]),
        ("disputed_still", "conflicting_rows", [noon]),
        ("disputed_split", "conflicting_rows", [noon]),
        ("disputed_heat", "conflicting_rows", [noon]),
    ):
        house.add_site(site)
        series = house.add_meter(site, type_="heating" if site == "disputed_heat" else "electricity")
        house.findings.append(doubled(site, code, at))
        if site in {"disputed_split", "disputed_heat"}:
            house.read(site, counted(series, register="heat_kwh" if site == "disputed_heat" else "index_import_kwh"))
    house.calls.append(asked_again("disputed_once", OPENING, CLOSING))
    # Its month was filled from an answer about the site since: no call names the meter.
    for (name, _), rows in house.lake.coverage.items():
        for row in rows:
            if (name, row["site_id"]) == ("meter_intervals", "disputed_filled"):
                row |= {"detail": "from the site's answer", "last_asked_at_utc": AS_OF - HOUR}
    house.calls.append(asked_again("disputed_still", hour(11, 14), hour(11, 15)))

    house.add_site("disputed_series")
    house.read("disputed_series", counted(house.add_meter("disputed_series")))
    house.add_meter("disputed_series", "grid", mode="introduction")
    house.findings += [
        doubled("disputed_series", "conflicting_rows", [noon], "site_intervals", "electricity"),
        doubled("disputed_series", "conflicting_rows", [hour(11, 0)], "meter_indices"),
    ]


def _add_stated_months(house: FaultLake) -> None:
    """What the API states of October: as its intervals, off by rounding, or by more; an earlier answer was another."""
    for site, off in {"stated_as_is": "0.005", "stated_otherwise": "0.5"}.items():
        house.add_site(site)
        series = house.add_meter(site)
        house.read(site, counted(series))
        total = sum(value for value in series.values() if value is not None)
        for at, value in ((AS_OF - 2 * HOUR, total + 7), (AS_OF - HOUR, total + Decimal(off))):
            house.stated_months.append(
                {
                    **dict.fromkeys(STATED_MONTHS.columns), "stated_at_utc": at, "site_id": site, "meter_id": "m",
                    "billing_month": OCTOBER[0], "is_stated": True, "total": float(value),
                }
            )  # fmt: skip


def _add_sums(house: FaultLake) -> None:
    """Rule meters over one that lacks an hour, and over a charge point whose register counted otherwise."""
    house.add_site("sum_of_gap")
    house.add_meter("sum_of_gap", "whole", type_="heating")
    gap = without(ordinary("sum_of_gap gap"), [hour(7, 5)])
    house.add_meter("sum_of_gap", "gap", type_="heating", series=gap, states={7: "gap"})
    house.add_meter("sum_of_gap", "sum", type_="heating", is_rule=True)

    house.add_site("sum_of_charging")
    series = house.add_meter("sum_of_charging", "charging", type_="charge_point")
    house.read("sum_of_charging", shifted(counted(series), hour(20, 0), Decimal(5)), "charging")
    house.add_meter("sum_of_charging", "sum", mode="production", is_rule=True)


BALANCES = {
    # site: whether its balance is whole
    "balanced": True,
    "balance_of_failed_day": False,
    "balance_of_null_flow": False,
    "balance_of_charging": False,
    "balance_without_export": True,
}


def _add_balances(house: FaultLake) -> None:
    """Sites whose series is the sum of their meters; a day failed, import is null at times, a meter lacks hours."""
    for site in BALANCES:
        house.add_site(site)
        series = house.add_meter(site)
        flows = {"consumption": series, "grid_import": series}
        flows |= {name: dict.fromkeys(series, ZERO) for name in ("production", "self_consumption", "grid_export")}
        if site == "balance_of_null_flow":
            flows["grid_import"] = {start: total for start, total in series.items() if start.day % 2}
        if site == "balance_without_export":
            flows = {"consumption": series}
        if site == "balance_of_failed_day":
            flows = {name: without(flow, span(hour(9, 0), 24)) for name, flow in flows.items()}
        if site == "balance_of_charging":
            charged = dict.fromkeys(HOURS[6:], ZERO)
            house.add_meter(site, "charging", type_="charge_point", series=charged, states={1: "gap"})
        house.add_site_series(site, failed_day=9 if site == "balance_of_failed_day" else None, **flows)


def _add_spoilt(house: FaultLake) -> None:
    """Sites of which one meter is wrong: what the provider shares out or adds up is wrong, too."""
    for site in ("spoilt", "spoilt_grid", "spoilt_heat"):
        house.add_site(site)
        for meter, (type_, mode, is_rule) in SPOILT.items():
            house.add_meter(site, meter, type_=type_, mode=mode, is_rule=is_rule)
    for site, meter, register in (
        ("spoilt", "wrong", "index_import_kwh"),
        ("spoilt_grid", "silent", "index_import_kwh"),
        ("spoilt_heat", "heat", "heat_kwh"),
    ):
        readings = counted(house.stated[site, meter], register=register)
        house.read(site, shifted(readings, hour(20, 0), Decimal(5), register), meter)


LEAP_YEAR = days(date(2024, 1, 1), date(2024, 12, 31))
LEAP_ZONES = {"leap_zurich": ZURICH, "leap_kathmandu": KATHMANDU}


def _add_leap_year(house: FaultLake) -> None:
    """All of 2024, in two zones, one of which changes its clocks; the register is read at local midnight only."""
    for site, zone in LEAP_ZONES.items():
        generator, index = random.Random(site), Decimal(0)  # noqa: S311 - test data
        house.stated[site, "m"] = {}
        for day in [date(2023, 12, 31), *LEAP_YEAR]:
            for start in starts(day, zone, HOUR) if day in LEAP_YEAR else []:
                total = Decimal(str(thousandths(generator, 100, 900)))
                house.stated[site, "m"][start] = total
                index += total
                house.lake.add(
                    "meter_intervals", day, site_id=site, meter_id="m", interval_start_utc=start,
                    interval_end_utc=start + HOUR, total=float(total), solar=0.0, grid=float(total),
                )  # fmt: skip
            at = midnight(day + timedelta(days=1), zone)
            house.lake.add(
                "meter_indices", day, site_id=site, meter_id="m", read_at_utc=at, index_import_kwh=float(index)
            )
            house.lake.cover("meter_indices", day, site, "m")
            if day in LEAP_YEAR:
                house.lake.cover("meter_intervals", day, site, "m", interval_minutes=60)
        for listed in (LEAP_YEAR[0], LEAP_YEAR[-1]):
            house.lake.add(
                "sites", listed, site_id=site, site_name=site, created_at_utc=datetime(2020, 1, 1, tzinfo=UTC),
                timezone=str(zone), is_timezone_assumed=False,
            )  # fmt: skip
            house.lake.add(
                "meters", listed, site_id=site, meter_id="m", meter_name=site, meter_type="electricity",
                meter_mode="consumption", primary_address=1, is_rule_meter=False,
            )  # fmt: skip
            for dataset in ("sites", "meters"):
                house.lake.cover(dataset, listed, site, site)


IMPORT, EXPORT = "index_import_kwh", "index_export_kwh"
SWAPPED_FROM, SWAPPED_UNTIL = hour(10, 12), hour(20, 15)
"""In the middle of days: the last reading before the columns change places, and the last before they change back."""


def both(drawn: dict, fed_in: dict) -> dict:
    """Readings of two registers, each in its column."""
    return {at: {**row, **fed_in[at]} for at, row in drawn.items()}


def exchanged(readings: dict, first: datetime = SWAPPED_FROM, last: datetime = SWAPPED_UNTIL) -> dict:
    """The same readings, with the columns of import and export in each other's place for a while."""
    other = {IMPORT: EXPORT, EXPORT: IMPORT}
    return {
        at: {other[name]: index for name, index in row.items()} if first < at <= last else row
        for at, row in readings.items()
    }


def by_day(series: Series) -> Series:
    """What a solar plant makes of it."""
    return {start: total if 7 <= start.hour <= 15 else ZERO for start, total in series.items()}


def _add_swaps(house: FaultLake) -> None:
    def site(name: str, series: Series | None = None, **arguments) -> Series:
        house.add_site(name)
        return house.add_meter(name, series=series, **arguments)

    zero = dict.fromkeys(ordinary(""), ZERO)

    series = site("swap_of_zero")
    house.read("swap_of_zero", exchanged(both(counted(series), counted(zero, ZERO, EXPORT))))
    series = site("swap_of_null")  # a consumer whose export register is never stated
    house.read("swap_of_null", exchanged(counted(series)))

    series = site("swap_of_two", mode="introduction")
    house.read("swap_of_two", exchanged(both(counted(series), counted(ordinary("fed_in"), Decimal(700), EXPORT))))

    # A plant under snow when the columns change places, both times.
    still = [*span(hour(9, 0), 72), *span(hour(19, 0), 72)]
    series = site("swap_at_rest", with_values(by_day(ordinary("swap_at_rest")), still, "0"), mode="production")
    house.read("swap_at_rest", exchanged(both(counted(zero, Decimal(3)), counted(series, register=EXPORT))))

    # After the columns changed back, an hour of each day is missing: nothing can be compared there.
    truth = ordinary("swap_and_gaps")
    site(
        "swap_and_gaps",
        without(truth, [hour(day, 5) for day in range(21, 32)]),
        states=dict.fromkeys(range(21, 32), "gap"),
    )
    house.read("swap_and_gaps", exchanged(both(counted(truth), counted(zero, ZERO, EXPORT))))

    # The plant's register counts on, and its other one stands still, as the zeros do: nothing was swapped.
    truth = by_day(ordinary("plant_offline"))
    site("plant_offline", with_values(truth, span(hour(14, 0), 48), "0"), mode="production")
    house.read("plant_offline", both(counted(zero, Decimal(3)), counted(truth, register=EXPORT)))

    # One day, on which the intervals are wrong, is by chance what was fed in.
    truth, fed_in = ordinary("chance"), ordinary("fed_in")
    site(
        "chance",
        {at: fed_in[at] if local_day(at).day == 15 else total for at, total in truth.items()},
        mode="introduction",
    )
    house.read("chance", both(counted(truth), counted(fed_in, Decimal(700), EXPORT)))

    # No swap, although both registers fall: another meter counts in both directions from 0.
    series = site("replaced_both", mode="introduction")
    readings = both(counted(series), counted(ordinary("fed_in"), Decimal(700), EXPORT))
    cut = readings[CUT + HOUR]
    house.read("replaced_both", {
        at: {name: index - (cut[name] if at > CUT else 0) for name, index in row.items()}
        for at, row in readings.items()
    })  # fmt: skip


SWAPPED_SPRING = days(date(2024, 2, 1), date(2024, 4, 30))


def _add_swapped_month(house: FaultLake) -> None:
    """February to April 2024, read at midnight only; in March the columns of import and export are exchanged."""
    site, day_before = "swapped_march", SWAPPED_SPRING[0] - timedelta(days=1)
    generator, index = random.Random(site), Decimal(1000)  # noqa: S311 - test data
    series = house.stated[site, "m"] = {}
    for day in [day_before, *SWAPPED_SPRING]:
        for start in starts(day, ZURICH, HOUR) if day in SWAPPED_SPRING else []:
            series[start] = total = Decimal(str(thousandths(generator, 100, 900)))
            index += total
            house.lake.add(
                "meter_intervals", day, site_id=site, meter_id="m", interval_start_utc=start,
                interval_end_utc=start + HOUR, total=float(total), solar=0.0, grid=float(total),
            )  # fmt: skip
        registers = (IMPORT, EXPORT) if day.month != 3 else (EXPORT, IMPORT)
        house.lake.add(
            "meter_indices", day, site_id=site, meter_id="m", read_at_utc=midnight(day + timedelta(days=1), ZURICH),
            **dict(zip(registers, (float(index), 0.0), strict=True)),
        )  # fmt: skip
        house.lake.cover("meter_indices", day, site, "m")
        if day in SWAPPED_SPRING:
            house.lake.cover("meter_intervals", day, site, "m", interval_minutes=60)
    for listed in (SWAPPED_SPRING[0], SWAPPED_SPRING[-1]):
        house.lake.add(
            "sites", listed, site_id=site, site_name=site, created_at_utc=datetime(2020, 1, 1, tzinfo=UTC),
            timezone=str(ZURICH), is_timezone_assumed=False,
        )  # fmt: skip
        house.lake.add(
            "meters", listed, site_id=site, meter_id="m", meter_name=site, meter_type="electricity",
            meter_mode="consumption", primary_address=1, is_rule_meter=False,
        )  # fmt: skip
        for dataset in ("sites", "meters"):
            house.lake.cover(dataset, listed, site, site)


def _add_unread(house: FaultLake) -> None:
    """What only a register could confirm, without one; and what only looks like it."""

    def site(name: str, series: Series | None = None, **arguments) -> Series:
        house.add_site(name)
        return house.add_meter(name, series=series, **arguments)

    morning = span(hour(8, 6), 8)
    site("stuck_unread", with_values(ordinary("stuck_unread"), morning, "0.777"), is_rule=True)
    nights = [hour(day, number) for day in range(1, 32) for number in range(8)]
    site("steady_unread", with_values(ordinary("steady_unread"), nights, "0.777"), is_rule=True)
    site("frozen_unread", with_values(ordinary("frozen_unread"), span(hour(8, 0), 9 * 24), "0.777"), is_rule=True)
    peak = site("real_peak", with_values(ordinary("real_peak"), [hour(8, 6)], "40"))
    house.read("real_peak", counted(peak))

    sunny = by_day(ordinary("sunny"))
    boiler = site(
        "boiler", with_values(sunny, [hour(day, 1) for day in range(1, 32) if day % 3], "0.5"), mode="production"
    )
    house.read("boiler", counted(boiler, register=EXPORT))
    # Wrong for a third of the nights, and still a solar plant.
    clock = site("wrong_clock", with_values(sunny, [hour(day, 1) for day in range(1, 11)], "0.5"), mode="production")
    house.read("wrong_clock", counted(clock, register=EXPORT))
    faint = site("inverter", with_values(sunny, [hour(9, 1)], "0.05"), mode="production")
    house.read("inverter", counted(faint, register=EXPORT))


CUT_LATER, CUT_UNSEEN = hour(13, 15), hour(12, 0)
"""The last readings of another device that was replaced a day later, and of one at midnight."""


def at_six(readings: dict) -> dict:
    return {at: row for at, row in readings.items() if at.astimezone(ZURICH).hour == 6}


def anew(readings: dict, last: datetime, register: str = IMPORT) -> dict:
    """The same readings until ``last``; from the next one on, of a device that began at about 0."""
    following = min(at for at in readings if at > last)
    return shifted(readings, following, 5 - readings[following][register], register)


def _add_replacements(house: FaultLake) -> None:
    """Devices that were replaced at CUT, and again or elsewhere; nobody said so in the lake."""

    def site(name: str, series: Series | None = None, **arguments) -> Series:
        house.add_site(name)
        return house.add_meter(name, series=series, **arguments)

    # Of the new device one register stands lower, the other higher.
    flows = both_ways("replaced_grid", "m")
    site("replaced_grid", flows["import"], mode="introduction")
    drawn, fed_in = counted(flows["import"]), counted(flows["export"], Decimal(700), EXPORT)
    house.read("replaced_grid", both(anew(drawn, CUT), shifted(fed_in, CUT + HOUR, Decimal(5000), EXPORT)))

    series = site("replaced_early")
    readings = counted({OPENING - 18 * HOUR: ZERO, **series})
    readings[CLOSING + 6 * HOUR] = {IMPORT: 1002 + sum(series.values())}
    house.read("replaced_early", anew(at_six(readings), CUT))

    truth = ordinary("replaced_in_gap")
    site("replaced_in_gap", {**truth, CUT: None})
    house.read("replaced_in_gap", shifted(counted(truth), CUT + HOUR, Decimal(500)))

    series = site("replaced_twice")
    house.read("replaced_twice", anew(anew(counted(series), CUT), CUT_LATER))

    # The new device happened to stand little higher.
    for name, last in (("replaced_unseen", CUT), ("replaced_at_night", CUT_UNSEEN)):
        series = site(name)
        house.read(name, shifted(counted(series), last + HOUR, Decimal("0.7")))

    # Read at half past: no interval lies in the hour of the replacement, and two reach into it.
    half = HOUR / 2
    series = site("replaced_between", with_values(ordinary("replaced_between"), [CUT, CUT + HOUR], "20"))
    readings = counted(series)
    house.read("replaced_between", anew({
        OPENING - half: {IMPORT: Decimal(1000)},
        **{at + half: {IMPORT: row[IMPORT] + series.get(at, ZERO) / 2} for at, row in readings.items()},
    }, CUT + half))  # fmt: skip

    house.add_site("turned_stores")
    for meter in ("store", "store2"):
        flows = both_ways("turned_stores", meter)
        house.add_meter("turned_stores", meter, mode="battery", series=flows["import"])
        house.read("turned_stores", at_midnights(flows["export"], flows["import"]), meter)


ABSURD_DAYS = (date(2026, 10, 8), date(2026, 10, 10))


LOW_PAIRS = (5, 9, 13, 17)
"""Hours of the 12th after which a wrong reading is taken, and another one an hour later: no single one is a glitch."""


def _add_restless_readings(house: FaultLake) -> None:
    """Registers that fall again and again on one day, which is no reason to think that they state consumption."""
    at = {"restless": [*LOW_PAIRS, 22], "restless_inside": LOW_PAIRS, "restless_dated": LOW_PAIRS}
    for name, hours in at.items():
        low = {hour(12, number + further) for number in hours for further in (1, 2)}
        house.add_site(name)
        readings = counted(house.add_meter(name))
        house.read(
            name, {instant: {IMPORT: Decimal(3)} if instant in low else row for instant, row in readings.items()}
        )


def _add_load_curves(house: FaultLake) -> None:
    """Meters of which one register states consumption per interval, and another one counts."""
    for name, register, other, arguments in (
        ("curve_and_index", IMPORT, {EXPORT: ZERO}, {"mode": "introduction"}),
        ("curve_of_heat", "heat_kwh", {"volume_m3": Decimal(5)}, {"type_": "heating"}),
    ):
        house.add_site(name)
        series = house.add_meter(name, equal_after_month=0, **arguments)
        house.read(name, {start + HOUR: {register: total, **other} for start, total in series.items()})

    house.add_site("index_and_curve")
    series = house.add_meter("index_and_curve", type_="heating", equal_after_month=0)
    readings, flow = counted(series, register="heat_kwh"), ordinary("index_and_curve flow")
    house.read("index_and_curve", {
        at: {**row, "volume_m3": flow.get(at, HALF_KWH)} for at, row in readings.items()
    })  # fmt: skip


TAKEN_OUT = hour(20, 10)


def _add_bounds(house: FaultLake) -> None:
    """What is only seen at a bound: of a period, of a service, of a segment."""
    # Half too much, and read at the month's bounds only; the day before it lacks its first hours.
    truth, day = ordinary("half_too_much"), date(2026, 9, 30)
    house.add_site("half_too_much")
    house.add_meter("half_too_much", series={start: total * 3 / 2 for start, total in truth.items()})
    readings = counted(truth)
    house.read("half_too_much", {at: readings[at] for at in (OPENING, CLOSING)})
    for start in starts(day, ZURICH, HOUR)[5:]:
        house.lake.add(
            "meter_intervals", day, site_id="half_too_much", meter_id="m", interval_start_utc=start,
            interval_end_utc=start + HOUR, total=0.5, solar=0.0, grid=0.5,
        )  # fmt: skip
    house.lake.cover("meter_intervals", day, "half_too_much", "m", "gap", interval_minutes=60)

    # Taken out in the middle of a day; what it fed in was not read at the end.
    house.add_site("taken_out")
    series = {start: total for start, total in ordinary("taken_out").items() if start < TAKEN_OUT}
    house.add_meter("taken_out", mode="introduction", series=series, listed_until=20, asked_until=20)
    drawn, fed_in = counted(series), counted(series, Decimal(700), EXPORT)
    house.read("taken_out", {at: row | (fed_in[at] if at < TAKEN_OUT else {}) for at, row in drawn.items()})

    # The device was replaced by one that goes on from its indices, and whose columns are in each other's place.
    series = ordinary("swap_dated")
    house.add_site("swap_dated")
    house.add_meter("swap_dated", series=series)
    house.read("swap_dated", exchanged(both(counted(series), counted(dict.fromkeys(series, ZERO), ZERO, EXPORT))))


IN_WATT_HOURS = {
    "watt_hours_from": (CUT, CLOSING),
    "watt_hours_until": (OPENING, CUT),
    "watt_hours_between": (CUT, CUT_LATER),
    "watt_hours_unseen": (CUT, CLOSING),
}
"""Site -> since when, and until when, its meter states everything a thousandfold."""


def _add_units(house: FaultLake) -> None:
    """Intervals and registers agree all the time: only where the unit changes is anything to be seen."""
    for name, (since, until) in IN_WATT_HOURS.items():
        truth = ordinary(name)
        stated = {start: total * (1000 if since <= start < until else 1) for start, total in truth.items()}
        if name == "watt_hours_unseen":
            stated[since] = None
        house.add_site(name)
        house.add_meter(name, series=stated)
        begin = since - HOUR if since == OPENING else since
        house.read(name, {
            at: {"index_import_kwh": row["index_import_kwh"] * (1000 if begin < at <= until else 1)}
            for at, row in counted(truth, Decimal(20)).items()
        })  # fmt: skip


SPARSE = {
    "weekly": ZERO,
    "weekly_spike": Decimal(40),
    "weekly_stuck": Decimal(15),
    "at_six_spike": Decimal(10),
    "inside_doubled": Decimal(60),
}
"""Site -> what its intervals state too much, between readings that leave the month's bounds open."""


def _add_sparse_readings(house: FaultLake) -> None:
    """The registers are right, and read now and then: weekly or daily at six, or every hour but at the month's ends."""
    for name, too_much in SPARSE.items():
        truth = ordinary(name)
        stated = dict(truth)
        if name.endswith("_spike"):
            stated[CUT] += too_much
        elif name == "weekly_stuck":
            hours = [start for start in truth if hour(12, 0) <= start < hour(15, 0)]
            mean = sum(truth[start] for start in hours) + too_much
            stated.update(dict.fromkeys(hours, round(mean / len(hours), 3)))
            stated[hours[-1] + HOUR] += mean - sum(stated[start] for start in hours)
        elif name == "inside_doubled":
            hours = [start for start in truth if hour(12, 0) <= start < hour(17, 0)]
            share = too_much / len(hours)
            stated.update({start: truth[start] + share for start in hours})
        house.add_site(name)
        house.add_meter(name, series=stated)
        house.read(name, {at: row for at, row in counted(truth).items() if _is_read(name, at)})


def _is_read(name: str, at: datetime) -> bool:
    if name == "inside_doubled":
        return hour(2, 0) <= at <= hour(30, 0)
    local = at.astimezone(ZURICH)
    return local.hour == 6 and (name == "at_six_spike" or local.day % 7 == 2)


def _add_absurd_readings(house: FaultLake) -> None:
    """Numbers that fit a DECIMAL(18,6), and whose sum does not, at two midnights."""
    absurd, wrong = [midnight(day + timedelta(days=1), ZURICH) for day in ABSURD_DAYS], Decimal("6e11")

    # No interval tells how far the register of the other direction can have come.
    house.add_site("absurd")
    drawn = counted(house.add_meter("absurd", mode="introduction"))
    fed_in = counted(ordinary("fed_in"), Decimal(700), EXPORT)
    house.read("absurd", both(drawn, fed_in | {at: {EXPORT: wrong} for at in absurd}))

    house.add_site("absurd_midnights")
    readings = counted(house.add_meter("absurd_midnights")) | {at: {IMPORT: wrong} for at in absurd}
    house.read("absurd_midnights", {at: row for at, row in readings.items() if at.astimezone(ZURICH).hour == 0})


EXAMPLE_SITE, EXAMPLE_DAYS = "5f0c1a", days(date(2026, 4, 1), date(2026, 6, 30))
EXAMPLE_LIVES = {"m-101": (EXAMPLE_DAYS[0], date(2026, 5, 11)), "m-187": (date(2026, 5, 12), EXAMPLE_DAYS[-1])}
"""One meter of a flat after the other, as docs/examples/config/meters.csv dates them."""


def _add_example(house: FaultLake) -> None:
    """Both meters are asked for on all days, and deliver one value for each day of their lives."""
    for day in EXAMPLE_DAYS:
        house.lake.add(
            "sites", day, site_id=EXAMPLE_SITE, site_name="Example", created_at_utc=datetime(2020, 1, 1, tzinfo=UTC),
            timezone=str(ZURICH), is_timezone_assumed=False,
        )  # fmt: skip
        for dataset in ("sites", "meters"):
            house.lake.cover(dataset, day, EXAMPLE_SITE, EXAMPLE_SITE)
        for meter, (first, last) in EXAMPLE_LIVES.items():
            house.lake.add(
                "meters", day, site_id=EXAMPLE_SITE, meter_id=meter, meter_name=meter, meter_type="electricity",
                meter_mode="consumption", primary_address=1, is_rule_meter=False,
            )  # fmt: skip
            lives = first <= day <= last
            if lives:
                start, end = midnight(day, ZURICH), midnight(day + timedelta(days=1), ZURICH)
                house.stated.setdefault((EXAMPLE_SITE, meter), {})[start] = total = Decimal(day.day)
                house.lake.add(
                    "meter_intervals", day, site_id=EXAMPLE_SITE, meter_id=meter, interval_start_utc=start,
                    interval_end_utc=end, total=float(total), solar=0.0, grid=float(total),
                )  # fmt: skip
            house.lake.cover(
                "meter_intervals", day, EXAMPLE_SITE, meter, "complete" if lives else "gap", interval_minutes=1440
            )


IN_SEPTEMBER = days(date(2026, 9, 1), date(2026, 9, 3))
LATER_MODE = date(2026, 11, 1)


def _add_periods(house: FaultLake) -> None:
    """What only shows between months, in part of one, or when a meter is listed differently afterwards."""
    _add_example(house)

    # Asked for on three days of September, and then nothing until October.
    house.add_site("pause")
    house.add_meter("pause")
    for day in IN_SEPTEMBER:
        for start in starts(day, ZURICH, HOUR):
            house.stated["pause", "m"][start] = HALF_KWH
            house.lake.add(
                "meter_intervals", day, site_id="pause", meter_id="m", interval_start_utc=start,
                interval_end_utc=start + HOUR, total=0.5, solar=0.0, grid=0.5,
            )  # fmt: skip
        house.lake.cover("meter_intervals", day, "pause", "m", interval_minutes=60, equal_after_month=2)

    for site in ("half", "two_parts", "never_billed"):
        house.add_site(site)
        house.add_meter(site)
    house.add_site("tenants")
    house.add_meter("tenants", series=without(ordinary("tenants"), span(hour(25, 5), 3)), states={25: "gap"})

    # A flat that is listed as production from November on.
    house.add_site("later")
    house.add_meter("later", solar_share=Decimal("0.25"))
    house.add_meter("later", "flat")
    for dataset in ("sites", "meters"):
        house.lake.cover(dataset, LATER_MODE, "later", "later")
    for meter, mode in {"m": "production", "flat": "consumption"}.items():
        house.lake.cover("meter_intervals", LATER_MODE, "later", meter, "empty", interval_minutes=60)
        house.lake.add(
            "meters", LATER_MODE, site_id="later", meter_id=meter, meter_name=f"later {meter}",
            meter_type="electricity", meter_mode=mode, primary_address=1, is_rule_meter=False,
        )  # fmt: skip

    # One day is wrong: 3 kWh too many in an hour, which the register did not count.
    house.add_site("wrong_day")
    truth = ordinary("wrong_day")
    house.add_meter("wrong_day", series={**truth, hour(3, 5): truth[hour(3, 5)] + 3}, equal_after_month=0)
    house.read("wrong_day", counted(truth))
    house.add_meter("wrong_day", "other")
    # One day is excluded, and others lack values.
    house.add_site("other_days")
    house.add_meter(
        "other_days", series=without(ordinary("other_days"), span(hour(20, 0), 30)), states={20: "gap", 21: "gap"}
    )

    # Zero from the 1st to the 4th and from the 20th to the 24th, and never asked for in between.
    house.add_site("zero_twice")
    zeros = [*span(OPENING, 4 * 24), *span(hour(20, 0), 5 * 24)]
    series = with_values(ordinary("zero_twice"), zeros, "0")
    house.add_meter("zero_twice", series=without(series, span(hour(5, 0), 15 * 24)), unasked=range(5, 20))


def _add_edges(house: FaultLake) -> None:
    """Meters of heat, so that none is part of another's split, with something on the first or last day of service."""
    house.add_site("edges")

    def meter(name: str, gone: Iterable[datetime] = (), nulls: Iterable[datetime] = (), **arguments) -> None:
        series = without(ordinary(f"edges {name}"), gone) | dict.fromkeys(nulls)
        house.add_meter("edges", name, type_="heating", series=series, **arguments)

    meter("empty_first", gone=span(hour(1, 0), 26), states={1: "gap", 2: "gap"})
    meter("empty_last", gone=span(hour(31, 0), 24), states={31: "gap"})
    # One hour is missing, and the last two are null.
    meter("null_last", gone=[hour(31, 5)], nulls=span(hour(31, 22), 2), states={31: "gap"})
    # Until the 15th, and again from the 16th: nothing for 36 hours around that midnight.
    meter("touching", gone=span(hour(15, 6), 36), states={15: "gap", 16: "gap"})
    # Taken out on the 20th; the provider goes on stating zeros.
    series = with_values(ordinary("edges zeros_after"), span(hour(21, 0), 265), "0")
    house.add_meter("edges", "zeros_after", type_="heating", series=series)
    # The same peak on a day that is excluded and on one that is not.
    series = with_values(ordinary("edges peak"), [hour(3, 5), hour(9, 5)], "2")
    house.add_meter("edges", "peak", type_="heating", series=series)


LISTED_LATE = date(2026, 11, 12)


def _add_holes(house: FaultLake) -> None:
    """What is missing in one meter, and counts for another, for a billing point, or for the flows of a site."""
    # The site's series lacks the 20th; the 3rd of its grid connection is excluded.
    house.add_site("one_day_each")
    house.add_meter("one_day_each")
    house.add_meter("one_day_each", "grid", mode="introduction")
    used = house.stated["one_day_each", "m"]
    flows = {"grid_import": flow_of_site("one_day_each", "grid_import"), "grid_export": dict.fromkeys(used, ZERO)}
    flows |= {"consumption": used, "production": flows["grid_export"], "self_consumption": flows["grid_export"]}
    house.add_site_series(
        "one_day_each", failed_day=20,
        **{name: without(flow, span(hour(20, 0), 24)) for name, flow in flows.items()},
    )  # fmt: skip

    # A part of the sum has its first value on the 5th, and lacks the 20th.
    house.add_site("late_part")
    whole = house.add_meter("late_part", "whole", type_="heating")
    late = without(ordinary("late_part late", hour(5, 0)), span(hour(20, 0), 24))
    states = dict.fromkeys(range(1, 5), "empty") | {20: "gap"}
    house.add_meter("late_part", "late", type_="heating", series=late, states=states)
    both_parts = {start: total + late.get(start, ZERO) for start, total in whole.items()}
    house.add_meter("late_part", "sum", type_="heating", is_rule=True, series=both_parts)

    # A part of the sum is silent from the 10th on, and listed and asked for until the 20th.
    house.add_site("silent_part")
    house.add_meter("silent_part", "whole", type_="heating")
    house.add_meter("silent_part", "sum", type_="heating", is_rule=True)
    series = {start: total for start, total in ordinary("silent_part").items() if start < hour(10, 0)}
    states = dict.fromkeys(range(10, 21), "gap")
    house.add_meter(
        "silent_part", "silent", type_="heating", series=series, listed_until=20, asked_until=20, states=states
    )

    # Meters of two billing points, all of which deliver for the whole month.
    house.add_site("points")
    for meter in ("flat", "old", "new"):
        house.add_meter("points", meter)
    house.add_meter("points", "roof", mode="production", series=by_day(ordinary("points roof")))

    _add_listed_late(house)


def _add_listed_late(house: FaultLake) -> None:
    """Lists of 1 October and 12 November; the second flat is in the later one, with values from 5 October on."""
    for day, meters in ((OCTOBER[0], ["first"]), (LISTED_LATE, ["first", "second"])):
        read = midnight(day, ZURICH) + 10 * HOUR
        house.lake.add(
            "sites", day, site_id="listed_late", site_name="listed_late", fetched_at_utc=read, timezone=str(ZURICH),
            created_at_utc=datetime(2020, 1, 1, tzinfo=UTC), is_timezone_assumed=False,
        )  # fmt: skip
        for dataset in ("sites", "meters"):
            house.lake.cover(dataset, day, "listed_late", "listed_late")
        for meter in meters:
            house.lake.add(
                "meters", day, site_id="listed_late", meter_id=meter, meter_name=meter, meter_type="electricity",
                meter_mode="consumption", primary_address=1, is_rule_meter=False, fetched_at_utc=read,
            )  # fmt: skip
    house.add_meter("listed_late", "first", listed_until=0)
    house.add_meter(
        "listed_late", "second", listed_until=0, series=ordinary("listed_late second", hour(5, 0)),
        states=dict.fromkeys(range(1, 5), "empty"),
    )  # fmt: skip


ZERO_DAYS = (date(2026, 10, 24), date(2026, 10, 25))
"""The second has 25 hours."""
RULE_FROM = date(2026, 10, 15)
SPLIT_OFF, SPLIT_ROUNDED = hour(9, 5), hour(11, 5)
"""Hours in which solar and grid differ from the total, by more than three roundings or by less."""
NOT_COUNTED = Decimal("0.04")
"""What a site states of its production in each hour, beyond what the plant's register counted."""
SUNNY_DAYS = days(date(2026, 7, 6), date(2026, 7, 8))


def _add_weighed(house: FaultLake) -> None:
    """What a check has to weigh: what the register did not measure, how often, since when, against what."""

    def site(name: str, series: Series | None = None, **arguments) -> Series:
        house.add_site(name)
        return house.add_meter(name, series=series, **arguments)

    # Read at midnight, and replaced on the 12th: neither device measured anything of that day.
    whole_day = span(hour(12, 0), 24)
    for name, hours, value in (
        ("cut_spike", [hour(12, 5)], "40"), ("cut_stuck", whole_day, "0.777"), ("cut_disputed", [], "0"),
    ):  # fmt: skip
        is_heat = name == "cut_disputed"
        register = "heat_kwh" if is_heat else IMPORT
        series = site(name, with_values(ordinary(name), hours, value), type_="heating" if is_heat else "electricity")
        at_midnight = {at: row for at, row in counted(series, register=register).items() if at == midnight_of(at)}
        house.read(name, anew(at_midnight, hour(12, 0), register))
    house.findings.append(doubled("cut_disputed", "conflicting_rows", [hour(12, 7)]))

    for name, times in (("stuck_five", 5), ("stuck_six", 6), ("stuck_five_unread", 5), ("stuck_six_unread", 6)):
        truth = ordinary(name)
        site(name, with_values(truth, span(hour(8, 6), times), "0.777"), is_rule=name.endswith("unread"))
        if not name.endswith("unread"):
            house.read(name, counted(truth))

    # The register counted the day within a thousandth and a half.
    series = site("nearly_confirmed", with_values(ordinary("nearly_confirmed"), [hour(8, 6)], "40"))
    house.read("nearly_confirmed", shifted(counted(series), hour(8, 12), Decimal("-0.065")))

    zeros = [start for start in HOURS if local_day(start) in ZERO_DAYS]
    site("zero_at_change", with_values(ordinary("zero_at_change"), zeros, "0"))
    site("unit_of_gas", type_="gas")

    site("become_rule")
    for day, row in rows_of(house, "meters", "become_rule"):
        row["is_rule_meter"] = day >= RULE_FROM
    site("split_off", solar_share=Decimal("0.5"))
    for _, row in rows_of(house, "meter_intervals", "split_off"):
        row["grid"] += {SPLIT_OFF: 0.002, SPLIT_ROUNDED: -0.001}.get(row["interval_start_utc"], 0)

    # Two consumers that add up to next to nothing in one hour, with much solar energy.
    house.add_site("uneven")
    for meter, total, share in (("a", "1000", "5"), ("b", "-999.999999", "0")):
        series = {**dict.fromkeys(HOURS, ZERO), hour(6, 12): Decimal(total)}
        house.add_meter("uneven", meter, series=series, solar_share=Decimal(share))

    for name, beyond in (("production_off", NOT_COUNTED), ("production_on", ZERO)):
        used = site(name)
        plant = house.add_meter(name, "plant", mode="production", series=by_day(ordinary(f"{name} plant")))
        house.read(name, counted(plant, register=EXPORT), "plant")
        stated = {start: total + beyond for start, total in plant.items()}
        house.add_site_series(
            name, consumption=used, grid_import=used, self_consumption=dict.fromkeys(used, ZERO), production=stated,
            grid_export=stated,
        )  # fmt: skip

    _add_after_rest(house)


def _add_after_rest(house: FaultLake) -> None:
    """Nobody reads them; they did their best in July, and then next to nothing until the 28th of October."""
    noon = [start for start in HOURS if 9 <= start.hour < 15]
    rest = with_values(dict.fromkeys(HOURS, ZERO), noon, "0.02")
    for name, type_, mode, at_noon in (
        ("sun_after_snow", "electricity", "production", Decimal(6)),
        ("spike_in_snow", "electricity", "production", Decimal(60)),
        ("charged_after_rest", "charge_point", "consumption", Decimal(11)),
        ("flat_after_rest", "electricity", "consumption", Decimal(6)),
    ):
        house.add_site(name)
        house.add_meter(name, type_=type_, mode=mode, series={**rest, hour(28, 12): at_noon})
        best = [(day, start) for day in SUNNY_DAYS for start in starts(day, ZURICH, HOUR)]
        for day, start in best:
            total = house.stated[name, "m"][start] = Decimal(5 if 9 <= start.hour < 15 else 0)
            house.lake.add(
                "meter_intervals", day, site_id=name, meter_id="m", interval_start_utc=start,
                interval_end_utc=start + HOUR, total=float(total),
            )  # fmt: skip
        for day in SUNNY_DAYS:
            house.lake.cover("meter_intervals", day, name, "m", interval_minutes=60, equal_after_month=2)
        if mode == "consumption":
            for _, row in rows_of(house, "meter_intervals", name):
                row.update(solar=0.0, grid=row["total"])


def midnight_of(at: datetime) -> datetime:
    return midnight(local_day(at), ZURICH)


def rows_of(house: FaultLake, dataset: str, site: str) -> list[tuple[date, dict[str, Any]]]:
    """The rows of a site by day, to be changed."""
    return [
        (day, row)
        for (name, day), rows in house.lake.rows.items() if name == dataset for row in rows if row["site_id"] == site
    ]  # fmt: skip


WRONGLY_MORE = span(hour(5, 0), 8 * 24)
"""Hours in which some meters state four times what their registers count."""
MIDNIGHTS = [midnight(day, ZURICH) for day in [*OCTOBER, date(2026, 11, 1)]]


def at(readings: dict, instants: Collection[datetime]) -> dict:
    return {instant: row for instant, row in readings.items() if instant in instants}


def times(series: Series, hours: Iterable[datetime], factor: str) -> Series:
    more = set(hours)
    return {start: (total or ZERO) * Decimal(factor if start in more else "1") for start, total in series.items()}


def around(series: Series) -> Series:
    """October, and as much before and after it."""
    more = ordinary("around")
    before = {start - len(HOURS) * HOUR: total for start, total in more.items()}
    return before | series | {start + len(HOURS) * HOUR: total for start, total in more.items()}


def _add_grades(house: FaultLake) -> None:
    """Months that were ready and should not be, or whose flows, rates and counts were another's."""
    _add_unmeasured(house)
    _add_lost_days(house)
    _add_kinds(house)
    _add_steps(house)
    _add_told_flows(house)
    _add_rates(house)


def _add_unmeasured(house: FaultLake) -> None:
    """Seen once, wrong for days, and of a device that was replaced in a time that no register measured."""
    for name in ("cut_month", "cut_outage"):
        truth = ordinary(name)
        house.add_site(name)
        house.add_meter(name, series=times(truth, WRONGLY_MORE, "4"), equal_after_month=0)
        readings = anew(counted(truth), CUT)
        read = [instant for instant in readings if not hour(5, 0) < instant < hour(13, 0)]
        house.read(name, at(readings, [OPENING, CLOSING] if name == "cut_month" else read))


def _add_lost_days(house: FaultLake) -> None:
    """Days that are excluded, or lie between two lives of a meter, while its register counts on."""
    for name in ("one_day_off", "another_day_off"):
        truth = ordinary(name)
        house.add_site(name)
        house.add_meter(name, series=times(truth, truth, "1.5") if name == "one_day_off" else truth)
        house.read(name, at(counted(truth), [OPENING, CLOSING]))

    house.add_site("eight_hundredfold")
    readings = counted(house.add_meter("eight_hundredfold"))
    house.read("eight_hundredfold", {instant: {IMPORT: row[IMPORT] * 800} for instant, row in readings.items()})

    # Installed on the 15th at ten, in use at once or from eight in the evening on; values begin at eight.
    for name in ("used_at_once", "used_later"):
        truth = ordinary(name, hour(15, 10))
        stated = {start: total for start, total in truth.items() if start >= hour(15, 20)}
        house.add_site(name)
        house.add_meter(name, series=stated, states=dict.fromkeys(range(1, 15), "empty") | {15: "gap"})
        used = truth if name == "used_at_once" else dict.fromkeys(truth, ZERO) | stated
        house.read(name, counted(used))

    house.add_site("two_lives")
    house.read("two_lives", counted(house.add_meter("two_lives")))

    # The site's series do not add up on the 20th: its day is excluded, or that of one meter.
    for name in ("site_off", "meter_off"):
        house.add_site(name)
        series = house.add_meter(name)
        house.add_meter(name, "other")
        nothing = dict.fromkeys(series, ZERO)
        wrong = {start: total + (1 if local_day(start).day == 20 else 0) for start, total in series.items()}
        house.add_site_series(
            name, consumption=series, grid_import=wrong, production=nothing, self_consumption=nothing,
            grid_export=nothing,
        )  # fmt: skip


def _add_kinds(house: FaultLake) -> None:
    """Listed as something else from the 15th on."""
    for name, first, later in (
        ("retyped", "cold_water", "heating"), ("retyped_back", "heating", "cold_water"), ("named", "steam", "heating"),
        ("still_heat", "heating", "heating"),
    ):  # fmt: skip
        house.add_site(name)
        house.add_meter(name, type_=later)
        for (dataset, day), rows in house.lake.rows.items():
            for row in rows if dataset == "meters" and day.day < 15 else []:
                if row["site_id"] == name:
                    row["meter_type"] = first
    for name, is_rule in (("rule_to_consumer", True), ("unbilled_to_consumer", False), ("billed_from_15", False)):
        house.add_site(name)
        house.add_meter(name, is_rule=is_rule, mode_until=(14, "production"), solar_share=Decimal("0.25"))

    house.add_site("mute_grid")
    house.add_meter("mute_grid", solar_share=Decimal("0.25"))
    house.add_meter("mute_grid", "grid", mode="introduction", series={}, states=dict.fromkeys(range(1, 32), "empty"))


def _add_steps(house: FaultLake) -> None:
    """Quarter-hours of which meters.csv says that they are hours, and the other way round; hours at a quarter past."""
    for name in ("quarters", "hours_from_15"):
        truth = ordinary(name)
        house.add_site(name)
        since, quarters = (1, 1) if name == "quarters" else (15, 4)
        hours = {start: total for start, total in truth.items() if start < hour(since, 0)}
        house.add_meter(name, series=hours, unasked=range(since, 32))
        later = {start: total for start, total in truth.items() if start >= hour(since, 0)}
        for start, total in later.items():
            for begin in (start + QUARTER * number for number in range(quarters)):
                house.stated[name, "m"][begin] = total / 4
                house.lake.add(
                    "meter_intervals", local_day(begin), site_id=name, meter_id="m", interval_start_utc=begin,
                    interval_end_utc=begin + QUARTER, total=float(total / 4), solar=0.0, grid=float(total / 4),
                )  # fmt: skip
        for day in sorted({local_day(start) for start in later}):
            state = "gap" if name == "quarters" else "complete"
            house.lake.cover("meter_intervals", day, name, "m", state, interval_minutes=15)

    series = ordinary("quarter_past")
    overlapping = {hour(9, 2) + QUARTER * number: HALF_KWH for number in (1, 2, 3)}
    house.add_site("quarter_past")
    house.add_meter("quarter_past", series=without(series, span(hour(9, 12), 3)) | overlapping)


def _add_told_flows(house: FaultLake) -> None:
    """Grid connections whose flows the site states late or otherwise, or whose registers were read on the 15th."""
    for name in ("asked_early", "asked_early_unread", "told_twice", "read_on_15th"):
        house.add_site(name)
        series = house.add_meter(name, "grid", mode="introduction")
        fed_in = {start: total * 3 for start, total in series.items()}
        readings = both(counted(around(series)), counted(around(fed_in), register=EXPORT))
        if name == "read_on_15th":
            on_15th = [midnight(date(2026, month, 15), ZURICH) for month in (9, 10, 11)]
            house.read(name, at(readings, on_15th), "grid")
            continue
        if name != "asked_early_unread":
            house.read(name, at(readings, MIDNIGHTS), "grid")
        drawn = times(series, series, "0.8")
        house.add_site_series(
            name, consumption=drawn, production=fed_in, self_consumption=dict.fromkeys(series, ZERO),
            grid_import=drawn, grid_export=fed_in,
        )  # fmt: skip
        for (dataset, _), rows in house.lake.coverage.items():
            for row in rows if dataset == "site_intervals" and name.startswith("asked_early") else []:
                if row["site_id"] == name:
                    row.update(equal_after_month=0, last_asked_at_utc=CLOSING + HOUR)


RATED = {
    # site: what it consumes, produces and uses of that, of all that was consumed in an hour
    "rates": lambda start, used: (used, used / 2 * (start.hour > 7), used * Decimal("0.4") * (start.hour > 7)),
    "rates_in_snow": lambda start, used: (used, ZERO if start.hour else HALF_KWH, Decimal("-0.001")),
    "rates_of_little": lambda start, used: (used, ZERO if start.hour else Decimal("0.004"), ZERO),
    "rates_of_storage": lambda start, used: (used, used / 5, used * Decimal("0.4")),
}


def _add_rates(house: FaultLake) -> None:
    """Sites with a flat, a charge point, and a rule meter that holds both again."""
    for name, of_hour in RATED.items():
        house.add_site(name)
        flat, car = house.add_meter(name), house.add_meter(name, "car", type_="charge_point")
        house.add_meter(name, "sum", is_rule=True, series={start: total + car[start] for start, total in flat.items()})
        stated = {start: of_hour(start, total + car[start] + 1) for start, total in flat.items()}
        storage = {"storage_discharge": dict.fromkeys(flat, HALF_KWH)} if name == "rates_of_storage" else {}
        house.add_site_series(
            name,
            consumption={start: used for start, (used, _, _) in stated.items()},
            production={start: made for start, (_, made, _) in stated.items()},
            self_consumption={start: own for start, (_, _, own) in stated.items()},
            grid_import={start: used - own for start, (used, _, own) in stated.items()},
            grid_export={start: made - own for start, (_, made, own) in stated.items()},
            **storage,
        )


NAMELESS = {
    # meter: (type, share of its hours that the provider states split)
    "flat": ("electricity", 1.0),
    "mostly": ("charge_point", 0.6),
    "hardly": ("electricity", 0.4),
    "roof": ("electricity", 0.0),
    "water": ("cold_water", 0.0),
    "said": ("electricity", 0.0),
}
"""Meters of a list in the older form, which states neither name nor mode."""


def _add_nameless(house: FaultLake) -> None:
    house.add_site("nameless")
    for meter, (type_, share) in NAMELESS.items():
        series = house.add_meter("nameless", meter, type_=type_, mode="unknown", listed_until=0)
        split = set(sorted(series)[: round(len(series) * share)])
        for _, row in rows_of(house, "meter_intervals", "nameless"):
            if row["meter_id"] == meter and row["interval_start_utc"] in split:
                row["solar"] = round(row["total"] / 4, 3)
                row["grid"] = row["total"] - row["solar"]
        for day in OCTOBER:
            house.lake.add(
                "meters", day, site_id="nameless", meter_id=meter, meter_type=type_, meter_mode="unknown",
                is_rule_meter=False,
            )  # fmt: skip

    # Listed with its mode until the 14th, and in the older form from then on; and the other way round.
    for name, is_nameless in (("named_first", lambda day: day.day >= 15), ("named_later", lambda day: day.day < 15)):
        house.add_site(name)
        house.add_meter(name, mode="production", series=by_day(ordinary(name)))
        for day, row in rows_of(house, "meters", name):
            if is_nameless(day):
                row["meter_mode"] = "unknown"
                row["meter_name"] = None


SHARED = "5f0c1a00000000000000b001"
"""The id of a meter that is listed at two sites; shorter ones may be numbered by site."""
MOVED = "5f0c1a00000000000000b002"
SHARED_DAYS = range(10, 21)
MOVED_AT = hour(15, 10)


def _add_shared(house: FaultLake) -> None:
    """Two sites with one meter: both state it from the 10th to the 20th; another moved in the morning of the 15th."""
    everything = {meter: ordinary(meter) for meter in (SHARED, MOVED, "flat-1")}
    for site in ("old_house", "new_house"):
        house.add_site(site)
        is_new = site == "new_house"
        first, last = (hour(SHARED_DAYS[0], 0), CLOSING) if is_new else (OPENING, hour(SHARED_DAYS[-1] + 1, 0))
        shared = {start: total for start, total in everything[SHARED].items() if first <= start < last}
        away = set(range(1, 32)) - {local_day(start).day for start in shared}
        house.add_meter(
            site, SHARED, type_="heating", series=shared, states=dict.fromkeys(away, "empty" if is_new else "gap")
        )
        moved = {start: total for start, total in everything[MOVED].items() if (start >= MOVED_AT) == is_new}
        away = set(range(1, 32)) - {local_day(start).day for start in moved}
        states = dict.fromkeys(away, "empty" if is_new else "gap") | {15: "gap"}
        house.add_meter(site, MOVED, type_="heating", series=moved, states=states)
        # A short id may be a number within its site; with the same name and values it is one meter.
        house.add_meter(site, "flat-1", type_="heating", series=everything["flat-1"])
        house.add_meter(site, "flat-2", type_="heating")
        for _, row in rows_of(house, "meters", site):
            if row["meter_id"] == "flat-1":
                row["meter_name"] = "Flat 1"

    # Two flats of one name; heat may be called like the electricity of its flat, and a new meter like the old one.
    house.add_site("namesakes")
    for meter, type_ in (("a", "electricity"), ("b", "electricity"), ("heat", "heating")):
        house.add_meter("namesakes", meter, type_=type_)
    for _, row in rows_of(house, "meters", "namesakes"):
        row["meter_name"] = " Flat 1" if row["meter_id"] == "b" else "flat 1"
    for _, row in rows_of(house, "meters", "moved"):
        row["meter_name"] = "Flat 1"


LONE_PEAKS = {
    # site: for each hour that is empty, the one that holds its energy, too
    "repeated": {hour(9, 5): hour(9, 6)},
    "repeated_early": {hour(9, 7): hour(9, 6)},
    "repeated_at_midnight": {hour(14, 23): hour(15, 0), hour(20, 0): hour(19, 23)},
    "repeated_in_month_before": {hour(1, 0) - HOUR: hour(1, 0)},
    "repeated_often": {hour(day, 5): hour(day, 6) for day in range(5, 20)},
    "repeated_daily": {hour(day, 5): hour(day, 6) for day in range(1, 32)},
}
"""A gateway repeats what it read last. Where it does so day by day, that may be how the meter is."""


def _add_lone_peaks(house: FaultLake) -> None:
    for site, pairs in LONE_PEAKS.items():
        series = ordinary(site)
        for empty, full in pairs.items():
            series |= {empty: ZERO, full: Decimal("1.6") + Decimal(full.day) / 100}
        house.add_site(site)
        house.add_meter(site, series=series)
        if site == "repeated_in_month_before":
            house.lake.cover("meter_intervals", date(2026, 9, 30), site, "m", interval_minutes=60)


SPLIT_RULES = ("clipped_coarse", "signed_coarse", "sunny", "first_come")
"""How the energy of two flats' site is shared out; in steps of 10 Wh, its own energy is below 0 in every other hour."""


def _add_split_rules(house: FaultLake) -> None:
    for site in SPLIT_RULES:
        house.add_site(site)
        flats = {meter: house.add_meter(site, meter) for meter in ("a", "b")}
        used = {start: flats["a"][start] + flats["b"][start] for start in HOURS}
        is_coarse = site.endswith("coarse")
        own = {
            start: Decimal("-0.04" if number % 2 else "0.03") if is_coarse else total * start.hour / 40
            for number, (start, total) in enumerate(used.items())
        }
        plant = dict.fromkeys(HOURS, ZERO) if is_coarse else own
        house.add_meter(site, "plant", mode="production", series=plant)
        for _, row in rows_of(house, "meter_intervals", site):
            start, total = row["interval_start_utc"], row["total"]
            if row["meter_id"] == "plant":
                continue
            share = float(own[start] / used[start])
            if site == "clipped_coarse":
                share = max(share, 0.0)
            row["solar"] = share * total
            if site == "first_come":
                row["solar"] = float(min(own[start], flats["a"][start]))
                if row["meter_id"] == "b":
                    row["solar"] = float(own[start]) - row["solar"]
            row["grid"] = total - row["solar"]
        house.add_site_series(
            site, consumption=used, production=own, self_consumption=own, grid_export=dict.fromkeys(HOURS, ZERO),
            grid_import={start: total - own[start] for start, total in used.items()},
        )  # fmt: skip


OFF_LINE = {
    # site: the first and the last instant at which its register shows another number than its index, and which
    "zero_at_midnight": (hour(14, 0), hour(14, 0), "0"),
    "zero_at_opening": (OPENING, OPENING, "0"),
    "zero_at_closing": (CLOSING, CLOSING, "0"),
    "high_at_midnight": (hour(14, 0), hour(14, 0), "777777.7"),
    "low_after_midnight": (hour(14, 1), hour(14, 1), "12.5"),
    "zero_for_hours": (hour(13, 20), hour(14, 5), "0"),
    "zero_inside_a_day": (hour(13, 9), hour(13, 15), "0"),
    "zero_for_two_days": (hour(13, 0), hour(15, 0), "0"),
    "zero_over_opening": (OPENING - 3 * HOUR, OPENING + 5 * HOUR, "0"),
}
"""Each register goes on where it was. Beside each meter stands a sound one, whose energy is shared out with it."""


def _add_off_line(house: FaultLake) -> None:
    for site, (first, last, shown) in OFF_LINE.items():
        house.add_site(site)
        for meter in ("m", "sound"):
            series = house.add_meter(site, meter)
            before = {OPENING - number * HOUR: HALF_KWH for number in range(1, 49)}
            after = {CLOSING + number * HOUR: HALF_KWH for number in range(48)}
            readings = counted(before | series | after, Decimal(976))
            if meter == "m":
                readings |= {at: {IMPORT: Decimal(shown)} for at in readings if first <= at <= last}
            house.read(site, readings, meter)

    # A device that was replaced by a new one, which nobody read for a time: nothing goes on where it was.
    house.add_site("new_from_zero")
    series = house.add_meter("new_from_zero")
    readings = anew(counted(series), CUT)
    readings |= {at: {IMPORT: ZERO} for at in readings if CUT < at <= CUT + 5 * HOUR}
    house.read("new_from_zero", readings)


EXCHANGED_DEVICES = {
    # site: when the device was exchanged, and what the new one opened with
    "exchanged_for_new": (CUT, ZERO),
    "exchanged_for_used": (CUT, Decimal("25000.5")),
    "exchanged_at_midnight": (hour(12, 0), ZERO),
    "exchanged_for_less": (CUT, Decimal("1130")),
}


def _add_exchanged_devices(house: FaultLake) -> None:
    """The old device was read when it was taken out, and the new one in the same instant."""
    for site, (exchanged_at, opening) in EXCHANGED_DEVICES.items():
        house.add_site(site)
        readings = counted(house.add_meter(site))
        closing = readings[exchanged_at][IMPORT]
        house.read(site, {
            at: {IMPORT: row[IMPORT] if at <= exchanged_at else row[IMPORT] - closing + opening}
            for at, row in readings.items()
        })  # fmt: skip
        day = local_day(exchanged_at - timedelta(microseconds=1))
        house.lake.add(
            "meter_indices", day, site_id=site, meter_id="m", read_at_utc=exchanged_at, index_import_kwh=float(opening)
        )
