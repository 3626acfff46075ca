"""A small lake with known truth, written with the real schemas and layout: two sites in two zones.

Zurich (site ``z1``) was asked for March, 1 April and October 2026, both clock changes included; Kathmandu (``k1``,
+5:45) for October and the first days of November, while November was running. Values are thousandths drawn from a
seeded generator, so that sums in ``Decimal`` are exact.
"""

from __future__ import annotations

import random
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import polars as pl

from climkit_pipeline.lake.layout import EMPTY_PARTITION, Layout
from climkit_pipeline.lake.schemas import COVERAGE_SCHEMA, DATASETS, JOURNALS

ZURICH = ZoneInfo("Europe/Zurich")
KATHMANDU = ZoneInfo("Asia/Kathmandu")
ZONES = {"z1": ZURICH, "k1": KATHMANDU}
QUARTER = timedelta(minutes=15)
FIRST_FETCH = datetime(2026, 11, 2, 3, tzinfo=UTC)
SECOND_FETCH = datetime(2026, 11, 5, 3, tzinfo=UTC)
AS_OF = datetime(2026, 11, 20, 3, tzinfo=UTC)

Row = dict[str, Any]


def days(first: date, last: date) -> list[date]:
    return [first + timedelta(days=number) for number in range((last - first).days + 1)]


def midnight(day: date, zone: ZoneInfo) -> datetime:
    return datetime.combine(day, time.min, tzinfo=zone).astimezone(UTC)


def starts(day: date, zone: ZoneInfo, step: timedelta = QUARTER) -> list[datetime]:
    begin, end = midnight(day, zone), midnight(day + timedelta(days=1), zone)
    return [begin + step * number for number in range(round((end - begin) / step))]


def local_month(instant: datetime, zone: ZoneInfo) -> date:
    return instant.astimezone(zone).date().replace(day=1)


MARCH = days(date(2026, 3, 1), date(2026, 3, 31))
OCTOBER = days(date(2026, 10, 1), date(2026, 10, 31))
ZURICH_DAYS = [*MARCH, date(2026, 4, 1), *OCTOBER]
KATHMANDU_DAYS = [*OCTOBER, *days(date(2026, 11, 1), date(2026, 11, 5))]
EMPTY_DAY = date(2026, 10, 20)
"""Asked, but the production meter's answer held no row."""
GAP_DAY = date(2026, 10, 14)
"""The flat `gap` lacks the first hour."""


@dataclass
class SmallLake:
    """Rows by dataset and local day, and how to write them."""

    rows: dict[tuple[str, date], list[Row]] = field(default_factory=dict)
    coverage: dict[tuple[str, date], list[Row]] = field(default_factory=dict)

    def add(self, dataset: str, day: date, **values: Any) -> Row:
        row = {"extra": None, "fetched_at_utc": FIRST_FETCH, "superseded_at_utc": None, **values}
        self.rows.setdefault((dataset, day), []).append(row)
        return row

    def cover(self, dataset: str, day: date, site: str, subject: str, state: str = "complete", **values: Any) -> Row:
        row = {
            "site_id": site,
            "subject_id": subject,
            "first_asked_at_utc": FIRST_FETCH,
            "last_asked_at_utc": AS_OF,
            "last_changed_at_utc": FIRST_FETCH,
            "interval_minutes": 15 if "intervals" in dataset else None,
            "state": state,
            "gaps": [],
            "equal_answers": 2,
            "equal_after_month": 2,
            **values,
        }
        self.coverage.setdefault((dataset, day), []).append(row)
        return row

    def revise(self, dataset: str, day: date, row: Row, at: datetime = SECOND_FETCH, **values: Any) -> Row:
        """Close ``row`` and add its successor."""
        row["superseded_at_utc"] = at
        return self.add(dataset, day, **{**row, "fetched_at_utc": at, "superseded_at_utc": None, **values})

    def current(self, dataset: str) -> Iterable[Row]:
        for (name, _), rows in self.rows.items():
            if name == dataset:
                yield from (row for row in rows if row["superseded_at_utc"] is None)

    def write(self, layout: Layout, only: Iterable[tuple[str, date]] | None = None) -> None:
        """Write all days, or ``only`` these."""
        for name, dataset in DATASETS.items():
            empty = layout.dataset(name) / EMPTY_PARTITION
            empty.mkdir(parents=True, exist_ok=True)
            pl.DataFrame(schema=dataset.schema).write_parquet(empty / "data.parquet")
            pl.DataFrame(schema=COVERAGE_SCHEMA).write_parquet(empty / "coverage.parquet")
        for journal in JOURNALS:
            empty = layout.dataset(journal.name) / EMPTY_PARTITION
            empty.mkdir(parents=True, exist_ok=True)
            pl.DataFrame(schema=journal.columns).write_parquet(empty / "data.parquet")
        wanted = {*self.rows, *self.coverage} if only is None else set(only)
        for name, day in wanted:
            layout.day(name, day).mkdir(parents=True, exist_ok=True)
            data = _frame(self.rows.get((name, day), []), DATASETS[name].schema)
            data.sort(DATASETS[name].key).write_parquet(layout.data_file(name, day))
            _frame(self.coverage.get((name, day), []), COVERAGE_SCHEMA).write_parquet(layout.coverage_file(name, day))


def _frame(rows: list[Row], schema: dict[str, Any]) -> pl.DataFrame:
    return pl.DataFrame([{column: row.get(column) for column in schema} for row in rows], schema=schema)


@dataclass(frozen=True)
class Meter:
    site: str
    id: str
    type: str = "electricity"
    mode: str = "consumption"
    is_rule: bool = False
    minutes: int = 15

    @property
    def has_split(self) -> bool:
        return self.type == "electricity" and self.mode == "consumption"


METERS = [
    Meter("z1", "flat"),  # complete, one revised value, negatives
    Meter("z1", "gap"),  # one hour missing, one null
    Meter("z1", "unsplit"),  # one interval without split
    Meter("z1", "roof", mode="production"),
    Meter("z1", "grid", mode="introduction"),
    Meter("z1", "rule", is_rule=True),
    Meter("z1", "water", type="cold_water", minutes=60),
    Meter("z1", "steam", type="steam"),  # a type nobody documented
    Meter("k1", "shop"),
    Meter("k1", "heat", type="heating", minutes=1440),
]


def thousandths(generator: random.Random, low: int, high: int) -> float:
    return generator.randint(low, high) / 1000


def build_small_lake() -> SmallLake:
    lake, generator = SmallLake(), random.Random(20261120)  # noqa: S311 - test data
    for site, asked in (("z1", ZURICH_DAYS), ("k1", KATHMANDU_DAYS)):
        for day in asked:
            _add_listings(lake, site, day)
    for meter in METERS:
        for day in ZURICH_DAYS if meter.site == "z1" else KATHMANDU_DAYS:
            _add_meter_day(lake, meter, day, generator)
    _add_site_series(lake, generator)
    _add_indices(lake)
    for day in KATHMANDU_DAYS:  # only Kathmandu has a sensor
        for start in starts(day, KATHMANDU, timedelta(hours=6)):
            reading = thousandths(generator, 15000, 25000)
            end = start + timedelta(hours=6)
            lake.add("sensor_readings", day, site_id="k1", sensor_id="t1", read_at_utc=end, reading=reading)
        lake.cover("sensor_readings", day, "k1", "t1")
    return lake


def _add_listings(lake: SmallLake, site: str, day: date) -> None:
    lake.add(
        "sites",
        day,
        site_id=site,
        site_name={"z1": "Bahnhofstrasse 1", "k1": "Durbar Marg 2"}[site],
        created_at_utc=datetime(2026, 2, 10, tzinfo=UTC) if site == "z1" else datetime(2020, 1, 1, tzinfo=UTC),
        timezone=str(ZONES[site]),
        is_timezone_assumed=False,
    )
    for dataset in ("sites", "meters", "sensors"):
        lake.cover(dataset, day, site, site)
    for number, meter in enumerate(METERS):
        # `steam` was taken out in October: listed in March and April only, but still asked for in October.
        if meter.site == site and not (meter.id == "steam" and day.month == 10):
            lake.add(
                "meters",
                day,
                site_id=site,
                meter_id=meter.id,
                meter_name=f"Meter {meter.id}" if day.month < 10 else f"Meter {meter.id} (renamed)",
                meter_type=meter.type,
                meter_mode=meter.mode,
                primary_address=number,
                is_rule_meter=meter.is_rule,
            )
    if site == "k1":
        lake.add("sensors", day, site_id=site, sensor_id="t1", sensor_name="Hall", sensor_type="temperature", unit="C")


def _add_meter_day(lake: SmallLake, meter: Meter, day: date, generator: random.Random) -> None:
    state = "complete"
    step = timedelta(minutes=meter.minutes)
    for number, start in enumerate(starts(day, ZONES[meter.site], step)):
        total = thousandths(generator, 1, 900)
        solar = thousandths(generator, -3, 400) if meter.has_split else None
        grid = float(Decimal(str(total)) - Decimal(str(solar))) if solar is not None else None
        if meter.id == "roof" and day == EMPTY_DAY:
            state = "empty"
            continue
        if meter.id == "gap" and day == GAP_DAY and number < 4:
            state = "gap"
            continue
        if meter.id == "gap" and day == GAP_DAY and number == 40:
            total = solar = grid = None
        if meter.id == "unsplit" and day == GAP_DAY and number == 50:
            solar = None
        if meter.site == "k1" and day == KATHMANDU_DAYS[-1] and number * meter.minutes >= 720:
            state = "pending"  # the last day was asked for at noon
            continue
        row = lake.add(
            "meter_intervals",
            day,
            site_id=meter.site,
            meter_id=meter.id,
            interval_start_utc=start,
            interval_end_utc=start + step,
            total=total,
            solar=solar,
            grid=grid,
        )
        if meter.id == "flat" and day == GAP_DAY and number in (10, 11):
            # A new value; and one that only gained unknown fields, which is no revision.
            new = {"total": 7.5, "grid": float(Decimal("7.5") - Decimal(str(solar)))}
            lake.revise("meter_intervals", day, row, **(new if number == 10 else {"extra": '{"new": 1}'}))
    asked_at = midnight(day, KATHMANDU) + timedelta(hours=12) if state == "pending" else AS_OF
    lake.cover(
        "meter_intervals",
        day,
        meter.site,
        meter.id,
        state,
        interval_minutes=meter.minutes,
        last_asked_at_utc=min(asked_at, AS_OF),
    )


def _add_site_series(lake: SmallLake, generator: random.Random) -> None:
    for day in (date(2026, 10, 25), date(2026, 10, 26)):
        for start in starts(day, ZURICH):
            lake.add(
                "site_intervals",
                day,
                site_id="z1",
                meter_type="electricity",
                interval_start_utc=start,
                interval_end_utc=start + QUARTER,
                consumption=thousandths(generator, 1, 900),
                production=thousandths(generator, 0, 900),
            )
        lake.cover("site_intervals", day, "z1", "electricity")


def _add_indices(lake: SmallLake) -> None:
    """Register readings at every local midnight: each counts its meter's own total, `flat` a lost hundredth more."""
    registers = {"flat": "index_import_kwh", "roof": "index_export_kwh", "water": "volume_m3"}
    index = dict.fromkeys(registers, Decimal(1000))
    totals: dict[tuple[str, date], Decimal] = {}
    for row in lake.current("meter_intervals"):
        if row["meter_id"] in registers:
            key = row["meter_id"], row["interval_start_utc"].astimezone(ZURICH).date()
            totals[key] = totals.get(key, Decimal(0)) + Decimal(str(row["total"]))
    for day in [date(2026, 9, 30), *OCTOBER]:
        end = midnight(day + timedelta(days=1), ZURICH)
        for meter, register in registers.items():
            if day in OCTOBER:
                index[meter] += totals.get((meter, day), Decimal(0))
            shown = index[meter] + (Decimal("0.01") if (meter, day) == ("flat", OCTOBER[-1]) else 0)
            reading = {"site_id": "z1", "meter_id": meter, "read_at_utc": end, register: float(shown)}
            lake.add("meter_indices", day, **reading)
            lake.add("meter_indices", day, **{**reading, "read_at_utc": end - QUARTER})
            lake.cover("meter_indices", day, "z1", meter)
