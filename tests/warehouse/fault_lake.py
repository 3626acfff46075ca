"""A lake in which every site has one thing wrong, or only looks so: October 2026 in Zurich, hourly values, known truth.

Each site is named for its case and has a meter ``m`` whose register counts what its intervals state, unless the case
says otherwise. Values are thousandths from a seeded generator; what a test expects is computed from them here.
"""

from __future__ import annotations

import random
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

from small_lake import AS_OF, KATHMANDU, OCTOBER, ZURICH, SmallLake, days, midnight, starts, thousandths

from climkit_pipeline.lake.journals import append
from climkit_pipeline.lake.layout import Layout
from climkit_pipeline.lake.schemas import FINDINGS

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


@dataclass
class FaultLake:
    """The lake, and the totals that each (site, meter) states."""

    lake: SmallLake = field(default_factory=SmallLake)
    stated: dict[tuple[str, str], Series] = field(default_factory=dict)
    findings: list[dict] = field(default_factory=list)

    def write(self, layout: Layout) -> None:
        self.lake.write(layout)
        append(layout, FINDINGS, self.findings)

    def total(self, site: str, meter: str = "m", first: int = 1, last: int = 31) -> Decimal:
        """The sum of what was stated from one day of October to another."""
        bounds = hour(first, 0), midnight(date(2026, 10, last) + timedelta(days=1), ZURICH)
        stated = self.stated[site, meter].items()
        return sum((value for start, value in stated if value is not None and bounds[0] <= start < bounds[1]), ZERO)

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
    ) -> Series:
        """List, fill and cover one meter; without ``series``, an ordinary one. Days without a state are complete."""
        series = ordinary(site + meter) if series is None else series
        self.stated[site, meter] = series
        has_split = type_ == "electricity" and mode == "consumption"
        for day in OCTOBER[:listed_until]:
            self.lake.add(
                "meters", day, site_id=site, meter_id=meter, meter_name=f"{site} {meter}", meter_type=type_,
                meter_mode=mode, primary_address=1, is_rule_meter=is_rule,
            )  # fmt: skip
        for start, total in series.items():
            solar = None if total is None or not has_split else round(total * solar_share, 3)
            self.lake.add(
                "meter_intervals", local_day(start), site_id=site, meter_id=meter, interval_start_utc=start,
                interval_end_utc=start + HOUR, total=None if total is None else float(total),
                solar=None if solar is None else float(solar), grid=None if solar is None else float(total - solar),
            )  # fmt: skip
        for day in OCTOBER[:asked_until]:
            state = (states or {}).get(day.day, "complete")
            self.lake.cover(
                "meter_intervals", day, site, meter, state, interval_minutes=60, equal_after_month=equal_after_month
            )
        return series

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
    _add_leap_year(house)
    _add_swaps(house)
    _add_swapped_month(house)
    _add_unread(house)
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
    half = hour(15, 0)
    house.read("exchanged", {
        at: {"index_import_kwh": row["index_import_kwh"], "index_export_kwh": Decimal(7)} if at <= half
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
    site("vanished", ending, listed_until=20, asked_until=20)
    site("silent", {}, states=dict.fromkeys(range(1, 32), "gap"))
    site("once", is_rule=True, equal_after_month=1)
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

    def conflict(name: str, answered_at: datetime, is_rule: bool) -> Series:
        house.findings.append({
            "found_at_utc": answered_at, "code": "conflicting_rows", "dataset": "meter_intervals", "site_id": name,
            "subject_id": "m", "first_day": OCTOBER[0], "last_day": OCTOBER[-1], "occurrences": 4,
            "samples": [start.isoformat(sep=" ") for start in span(hour(8, 6), 3)],
        })  # fmt: skip
        return site(name, is_rule=is_rule)

    conflict("conflict_unread", AS_OF, True)
    conflict("conflict_mended", AS_OF - HOUR, True)
    house.read("conflict_confirmed", counted(conflict("conflict_confirmed", AS_OF, False)))
