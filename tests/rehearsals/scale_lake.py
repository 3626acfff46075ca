"""The lakes of `make bench-scale`: large accounts in which everything agrees, written without an API, a day at a time.

Here: what meters count, and the files of the lake. Not here: building and measuring (``bench_scale``).
"""

from __future__ import annotations

import math
import os
import shutil
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import cache, cached_property
from pathlib import Path

import polars as pl

from climkit_pipeline.lake.day_files import write_empty_files
from climkit_pipeline.lake.layout import Layout
from climkit_pipeline.lake.parquet import read_parquet, write_parquet
from climkit_pipeline.lake.schemas import COVERAGE_SCHEMA, DATASETS
from climkit_pipeline.simulator.sites import object_id

LAKE_VERSION = 1
"""Raise it when other rows are written: lakes that were kept are then written again."""
ZONE = "Europe/Zurich"
FIRST_NEW_DAY = date(2026, 10, 6)
"""Early in a month, because that is the dear case: the days that are asked again lie in two months."""
LOOKBACK_DAYS = 14
"""The days that a daily run asks for again, as `CLIMKIT_LOOKBACK_DAYS` is by default."""
REVISED_DAYS_AGO = 3
CLOSE_AFTER_DAYS = 10
CONFIRMED_DAYS_AFTER_MONTH = CLOSE_AFTER_DAYS + 2
"""When every day of a month is asked for once more."""
LEAST_METERS = 4
"""Of a site: the first three are the connection to the grid, the plant and the water; the others are flats."""

HABIT = [
    0.4 + 1.3 * math.exp(-(((slot / 4 - 7) / 1.2) ** 2) / 2) + 2.0 * math.exp(-(((slot / 4 - 19.2) / 2) ** 2) / 2)
    for slot in range(96)
]
"""When people use electricity and water, by local quarter-hour."""


@dataclass(frozen=True)
class Size:
    """How large an account is."""

    sites: int
    meters: int
    """Of each site."""
    days: int

    def __str__(self) -> str:
        return f"{self.sites}x{self.meters}x{self.days}"

    @property
    def first_day(self) -> date:
        """The day on which all sites begin."""
        return FIRST_NEW_DAY - timedelta(days=self.days)


def days_between(first: date, last: date) -> list[date]:
    """Both included."""
    return [first + timedelta(days=number) for number in range((last - first).days + 1)]


def morning_after(day: date) -> datetime:
    """When a daily run asks for ``day`` first."""
    return datetime(day.year, day.month, day.day, 6, tzinfo=UTC) + timedelta(days=1)


def next_month(day: date) -> date:
    """The first day of the month after."""
    return (day.replace(day=1) + timedelta(days=31)).replace(day=1)


@dataclass
class ScaleLake:
    """The lake of an account in which everything agrees: registers, intervals, series of sites, and the split.

    Energies are whole watt-hours and litres, so that differences of registers are the intervals exactly, and a site
    draws from the grid exactly what its flats need beyond the plant.
    """

    layout: Layout
    size: Size
    counted: pl.DataFrame | None = None
    """What the registers of each meter stand at, in Wh or litres: position, counted, fed_in."""

    @cached_property
    def meters(self) -> pl.DataFrame:
        """One row per meter in the order of the lake's files; ``position`` counts them."""
        rows = [
            {
                "site": site,
                "number": number,
                "site_id": object_id("scale", "site", site),
                "meter_id": object_id("scale", "site", site, "meter", number),
                "meter_name": f"Meter {number}",
                "meter_type": "cold_water" if number == 2 else "electricity",
                "meter_mode": {0: "introduction", 1: "production"}.get(number, "consumption"),
                "primary_address": number + 1,
                "is_rule_meter": False,
            }
            for site in range(self.size.sites)
            for number in range(self.size.meters)
        ]
        return pl.DataFrame(rows).sort("site_id", "meter_id").with_row_index("position")

    @cached_property
    def sites(self) -> pl.DataFrame:
        """One row per site, as it is listed."""
        first_day = self.size.first_day
        return (
            self.meters.group_by("site_id", "site")
            .agg()
            .sort("site_id")
            .with_columns(
                site_name=pl.format("Site {}", "site"),
                created_at_utc=pl.lit(_quarter_hours(first_day)["interval_start_utc"][0]),
                latitude=46.5 + pl.col("site") % 10 * 0.1,
                longitude=6.5 + pl.col("site") % 7 * 0.3,
                timezone=pl.lit(ZONE),
                is_timezone_assumed=pl.lit(value=False),
            )
        )

    def write(self) -> None:
        """Every dataset of every day up to the first new one, as a run left it on the morning of that day."""
        write_empty_files(self.layout)
        began = time.monotonic()
        for day in days_between(self.size.first_day, FIRST_NEW_DAY - timedelta(days=1)):
            self.add(day)
            self.ask(day, now=morning_after(FIRST_NEW_DAY - timedelta(days=1)))
            if (day + timedelta(days=1)).day == 1:
                sys.stderr.write(f"{self.size}: written up to {day}: {time.monotonic() - began:.0f} s\n")

    def live_a_day(self, day: date) -> None:
        """What a daily run does to the lake on the morning after ``day``."""
        self.add(day)
        now = morning_after(day)
        for asked in days_between(max(self.size.first_day, day - timedelta(days=LOOKBACK_DAYS)), day):
            self.ask(asked, now=now)
        self.revise(day - timedelta(days=REVISED_DAYS_AGO), now=now)

    def add(self, day: date) -> None:
        """The rows of a day; registers go on where they stood the day before."""
        clock = _quarter_hours(day)
        site_rows, meter_rows = self._counted_on(clock, day)
        fetched = pl.lit(morning_after(day)).alias("fetched_at_utc")
        frames = {
            "sites": self.sites,
            "meters": self.meters,
            "site_intervals": site_rows.select(
                "site_id",
                "interval_start_utc",
                "interval_end_utc",
                pl.lit("electricity").alias("meter_type"),
                *(
                    (pl.col(name) / 1000).alias(name)
                    for name in ("consumption", "production", "grid_import", "self_consumption", "grid_export")
                ),
            ),
            "meter_intervals": meter_rows.select(
                "site_id",
                "meter_id",
                "interval_start_utc",
                "interval_end_utc",
                pl.col("total") / 1000,
                *(pl.when("has_split").then(pl.col(name) / 1000000).alias(name) for name in ("solar", "grid")),
            ),
            "meter_indices": _readings(meter_rows),
        }
        for dataset, frame in frames.items():
            _write(self.layout.data_file(dataset, day), frame.with_columns(fetched), DATASETS[dataset].schema)
        self.counted = meter_rows.group_by("position", maintain_order=True).agg(pl.col("counted", "fed_in").last())

    def _counted_on(self, clock: pl.DataFrame, day: date) -> tuple[pl.DataFrame, pl.DataFrame]:
        """What sites and meters counted in each quarter-hour, in Wh or litres, ``solar`` and ``grid`` in 1e-6 kWh."""
        wanted = (
            self.meters.join(clock, how="cross")
            .sort("position", "quarter")
            .with_columns(
                has_split=(pl.col("meter_type") == "electricity") & (pl.col("meter_mode") == "consumption"),
                wanted=pl.when(pl.col("meter_type") == "cold_water").then(_water(self.size.meters)).otherwise(_flat()),
            )
        )
        site_rows = (
            wanted.filter("has_split")
            .group_by("site_id", "site", "quarter", "interval_start_utc", "interval_end_utc")
            .agg(consumption=pl.col("wanted").sum())
            .join(self.sites.select("site_id", "latitude", "longitude"), on="site_id")
            .sort("site_id", "quarter")
            .with_columns(production=_plant(day, peak_kw=self.size.meters - 3))
            .with_columns(
                grid_import=pl.max_horizontal(pl.col("consumption") - pl.col("production"), 0),
                grid_export=pl.max_horizontal(pl.col("production") - pl.col("consumption"), 0),
                self_consumption=pl.min_horizontal("consumption", "production"),
            )
        )
        flows = site_rows.select("site", "quarter", "consumption", "production", "grid_import", "grid_export")
        total = (
            pl.when(pl.col("meter_mode") == "introduction")
            .then("grid_import")
            .when(pl.col("meter_mode") == "production")
            .then("production")
            .otherwise("wanted")
        )
        meter_rows = (
            wanted.join(flows, on=["site", "quarter"], how="left", maintain_order="left")
            .with_columns(
                total=total, fed_in=pl.when(pl.col("meter_mode") == "introduction").then("grid_export").otherwise(0)
            )
            .with_columns(
                # Shares are rounded so that those of a site add up: each from what flats before it got together.
                upto=pl.when("has_split").then("total").otherwise(0).cum_sum().over("site", "quarter")
            )
            .with_columns(solar=_solar(pl.col("upto")) - _solar(pl.col("upto") - pl.col("total")))
            .with_columns(grid=pl.col("total") * 1000 - pl.col("solar"))
        )
        stood = self._stood_at()
        return site_rows, meter_rows.join(stood, on="position", maintain_order="left").with_columns(
            (pl.col(name).cum_sum().over("position") + pl.col(f"{at}_before")).alias(at)
            for name, at in (("total", "counted"), ("fed_in", "fed_in"))
        )

    def _stood_at(self) -> pl.DataFrame:
        counted = self.counted
        if counted is None:
            # Registers that count since long before; a plant has fed in nothing that a meter of its own counts.
            counted = self.meters.select(
                "position", counted=1000000 + pl.col("site") * 7919000 + pl.col("number") * 104729, fed_in=500000
            )
        return counted.rename({"counted": "counted_before", "fed_in": "fed_in_before"})

    def go_on_after(self, day: date) -> None:
        """Take what registers stand at from the readings of ``day``."""
        path = self.layout.data_file("meter_indices", day)
        last = (
            read_parquet(path, DATASETS["meter_indices"].schema)
            .filter(pl.col("read_at_utc") == pl.col("read_at_utc").max())
            .join(self.meters, on=["site_id", "meter_id"])
            .sort("position")
        )
        imported, exported, volume = (
            (pl.col(name) * 1000).round().cast(pl.Int64)
            for name in ("index_import_kwh", "index_export_kwh", "volume_m3")
        )
        is_plant = pl.col("meter_mode") == "production"
        self.counted = last.select(
            "position",
            counted=pl.when(is_plant).then(exported).otherwise(pl.coalesce(imported, volume)),
            fed_in=pl.when(pl.col("meter_mode") == "introduction").then(exported).otherwise(0),
        )

    def ask(self, day: date, *, now: datetime) -> None:
        """What coverage says of a day at ``now``: asked every morning of the look-back, and after its month."""
        month_end = morning_after(next_month(day) - timedelta(days=1))
        last_asked = min(
            now,
            max(
                morning_after(day) + timedelta(days=LOOKBACK_DAYS),
                month_end + timedelta(days=CONFIRMED_DAYS_AFTER_MONTH),
            ),
        )
        quarter_hours = _quarter_hours(day).height
        of_sites = self.sites.select("site_id", subject_id="site_id")
        of_meters = self.meters.select("site_id", subject_id="meter_id")
        subjects = {
            "sites": of_sites,
            "meters": of_sites,
            "sensors": of_sites,
            "site_intervals": of_sites.with_columns(subject_id=pl.lit("electricity")),
            "meter_intervals": of_meters,
            "meter_indices": of_meters,
        }
        for dataset, rows in subjects.items():
            is_interval = DATASETS[dataset].kind == "interval"
            coverage = rows.with_columns(
                first_asked_at_utc=pl.lit(morning_after(day)),
                last_asked_at_utc=pl.lit(last_asked),
                last_changed_at_utc=pl.lit(morning_after(day)),
                interval_minutes=pl.lit(15 if is_interval else None),
                expected=pl.lit(quarter_hours if is_interval else None),
                received=pl.lit(1 if DATASETS[dataset].kind == "snapshot" else quarter_hours),
                state=pl.lit("complete"),
                gaps=pl.lit([], dtype=COVERAGE_SCHEMA["gaps"]),
                equal_answers=pl.lit((last_asked - morning_after(day)).days + 1),
                equal_after_month=pl.lit(max(0, (last_asked - month_end).days + 1)),
            )
            _write(self.layout.coverage_file(dataset, day), coverage, COVERAGE_SCHEMA)

    def revise(self, day: date, *, now: datetime) -> None:
        """One interval of one flat gets another value, a watt-hour more: the months stay `ready`."""
        path = self.layout.data_file("meter_intervals", day)
        rows = read_parquet(path, DATASETS["meter_intervals"].schema)
        chosen = rows.filter(pl.col("superseded_at_utc").is_null() & pl.col("solar").is_not_null())[40:41]
        key = ["site_id", "meter_id", "interval_start_utc"]
        old = chosen.with_columns(superseded_at_utc=pl.lit(now))
        new = chosen.with_columns((pl.col("total", "grid") + 0.001).round(6), fetched_at_utc=pl.lit(now))
        rest = rows.join(chosen, on=[*key, "fetched_at_utc"], how="anti")
        everything = pl.concat([rest, old, new], how="vertical_relaxed").sort(*key, "fetched_at_utc")
        _write(path, everything, DATASETS["meter_intervals"].schema)


def _write(path: Path, frame: pl.DataFrame, schema: Mapping[str, pl.DataType | type[pl.DataType]]) -> None:
    """These columns and types, in order; what is not there is null. A file that another lake shares stays as it is."""
    shaped = frame.select(
        (pl.col(name) if name in frame.columns else pl.lit(None)).cast(type_).alias(name)
        for name, type_ in schema.items()
    )
    write_parquet(path, shaped)


@cache
def _quarter_hours(day: date) -> pl.DataFrame:
    """Every quarter-hour of a local day, with its number since 1970 and its local quarter-hour of the day."""
    bounds = [
        pl.select(pl.lit(at).cast(pl.Datetime("us")).dt.replace_time_zone(ZONE).dt.convert_time_zone("UTC")).item()
        for at in (day, day + timedelta(days=1))
    ]
    starts = pl.datetime_range(*bounds, "15m", closed="left", eager=True, time_zone="UTC")
    local = starts.dt.convert_time_zone(ZONE)
    return pl.DataFrame({
        "interval_start_utc": starts,
        "interval_end_utc": starts.dt.offset_by("15m"),
        "quarter": starts.dt.epoch("s") // 900,
        "slot": local.dt.hour().cast(pl.Int64) * 4 + local.dt.minute() // 15,
    })  # fmt: skip


def _dice(*parts: pl.Expr, salt: int) -> pl.Expr:
    """A number from 0 up to 1, always the same for the same whole numbers."""
    mixed = pl.lit(salt * 0x9E3779B97F4A7C15 % 2**64, dtype=pl.UInt64)
    for part in parts:
        # Products wrap around; what they mix into the high bits is brought down again.
        mixed = (mixed + part.cast(pl.UInt64)) * pl.lit(0xBF58476D1CE4E5B9, dtype=pl.UInt64)
        mixed = mixed ^ (mixed // 2**31)
    return (mixed // 2**11).cast(pl.Float64) / 2**53


def _whole(quantity: pl.Expr) -> pl.Expr:
    return quantity.floor().cast(pl.Int64)


def _habit() -> pl.Expr:
    return pl.col("slot").replace_strict(list(range(96)), HABIT, return_dtype=pl.Float64)


def _flat() -> pl.Expr:
    """Wh of a flat: what always runs, what people do, and at times an appliance for three quarters of an hour."""
    meter, quarter = pl.col("site") * 1000 + pl.col("number"), pl.col("quarter")
    base = 8 + 14 * _dice(meter, salt=1)
    active = (20 + 40 * _dice(meter, salt=2)) * (0.25 + 1.5 * _dice(meter, quarter, salt=3))
    appliance = 60 + 300 * _dice(meter, quarter // 3, salt=5)
    runs = _dice(meter, quarter // 3, salt=4) < 0.04
    return _whole(base + active * _habit() + pl.when(runs).then(appliance).otherwise(0))


def _water(meters: int) -> pl.Expr:
    """Litres of all flats of a site: at times nothing."""
    flats, quarter = meters - 3, pl.col("quarter")
    drawn = 6 * flats * _habit() * _dice(pl.col("site"), quarter, salt=6)
    return _whole(pl.when(_dice(pl.col("site"), quarter, salt=7) < 0.8).then(drawn).otherwise(0))


def _plant(day: date, *, peak_kw: float) -> pl.Expr:
    """Wh of the plant of a site: by the sun's height (declination after Cooper, 1969) and the day's clouds."""
    declination = math.radians(23.45) * math.sin(2 * math.pi * (day.timetuple().tm_yday + 284) / 365)
    latitude = pl.col("latitude").radians()
    turn = ((pl.col("quarter") % 96 + 0.5) / 96 * 360 - 180 + pl.col("longitude")).radians()
    height = latitude.sin() * math.sin(declination) + latitude.cos() * math.cos(declination) * turn.cos()
    clear = 0.15 + 0.85 * _dice(pl.col("site"), pl.lit(day.toordinal()), salt=8)
    clouds = 0.8 + 0.2 * _dice(pl.col("site"), pl.col("quarter"), salt=9)
    return _whole(peak_kw * 250 * 0.86 * pl.max_horizontal(height, 0.0) ** 1.2 * clear * clouds)


def _solar(consumed: pl.Expr) -> pl.Expr:
    """The solar part of ``consumed`` Wh of a site, in 1e-6 kWh, to the nearest: the same share for everybody."""
    whole = pl.col("consumption")
    own = whole - pl.col("grid_import")
    return (2 * consumed * 1000 * own + whole) // (2 * whole)


def _readings(meter_rows: pl.DataFrame) -> pl.DataFrame:
    """Registers at the end of every quarter-hour; the one that a meter does not use stands at zero."""
    is_water, is_plant = pl.col("meter_type") == "cold_water", pl.col("meter_mode") == "production"
    counted = pl.col("counted") / 1000
    exported = pl.when(pl.col("meter_mode") == "introduction").then(pl.col("fed_in") / 1000).otherwise(0.0)
    return meter_rows.select(
        "site_id",
        "meter_id",
        read_at_utc="interval_end_utc",
        index_import_kwh=pl.when(~is_water).then(pl.when(is_plant).then(0.0).otherwise(counted)),
        index_export_kwh=pl.when(~is_water).then(pl.when(is_plant).then(counted).otherwise(exported)),
        volume_m3=pl.when(is_water).then(counted),
    )


def linked_lake(written: Path, root: Path, size: Size) -> ScaleLake:
    """A data directory without a warehouse whose lake shares its files with ``written``, from its own first day on."""
    shutil.rmtree(root, ignore_errors=True)
    lake = ScaleLake(Layout(root.resolve()), size)
    source = Layout(written.resolve())
    write_empty_files(lake.layout)
    days = days_between(size.first_day, FIRST_NEW_DAY - timedelta(days=1))
    for dataset in DATASETS:
        for day in days:
            if source.day(dataset, day).is_dir():
                shutil.copytree(source.day(dataset, day), lake.layout.day(dataset, day), copy_function=os.link)
    for day in days:  # sites that began later say so
        listed = lake.sites.with_columns(fetched_at_utc=pl.lit(morning_after(day)))
        _write(lake.layout.data_file("sites", day), listed, DATASETS["sites"].schema)
    lake.go_on_after(days[-1])
    return lake
