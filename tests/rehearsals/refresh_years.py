"""What a daily refresh costs after ten years, against one year: `make bench-refresh` writes docs/benchmarks.md.

    python tests/rehearsals/refresh_years.py [--years 1 10] [--days 5] [--meters 12] [--output docs/benchmarks.md]

Two lakes with the same meters, one short, one long, are written without an API (a year of quarter-hours is a matter of
seconds so), and followed by the SQL models. Then the same daily change goes through the same code as every evening's,
first in one lake, then in the other, several times: the new day in every dataset, the days before it asked once more
(coverage), and one revised value among them. Of each figure the lowest counts: what else the machine does only adds.
"""

from __future__ import annotations

import argparse
import os
import resource
import shutil
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import polars as pl

from climkit_pipeline.lake.day_files import write_empty_files
from climkit_pipeline.lake.layout import Layout
from climkit_pipeline.lake.schemas import COVERAGE_SCHEMA, DATASETS
from climkit_pipeline.warehouse.lake_state import ModelSettings
from climkit_pipeline.warehouse.refresh import RefreshReport, refresh

GOAL = 1.2
"""Models after ten years against models after one, as docs/decisions/0011 states it."""
ZONE = "Europe/Zurich"
SITE = "s1"
FIRST_NEW_DAY = date(2026, 10, 6)
"""After the months that the first refresh followed; the one before it is young."""
LOOKBACK_DAYS = 14
"""The days that a daily run asks for again, as `CLIMKIT_LOOKBACK_DAYS` is by default."""
REVISED_DAYS_AGO = 3
SETTINGS = ModelSettings(close_after_days=10, default_timezone=ZONE, pipeline_version="benchmark")
REGISTERS = {"electricity": "index_import_kwh", "production": "index_export_kwh", "cold_water": "volume_m3"}
SERIES = ("meter_intervals", "meter_indices", "site_intervals")


@dataclass(frozen=True)
class Meter:
    """One meter of the lake: a consumer unless it says otherwise."""

    number: int
    type: str = "electricity"
    mode: str = "consumption"

    @property
    def id(self) -> str:
        """Its name in the lake."""
        return f"m{self.number:02}"

    @property
    def register(self) -> str:
        """The column of its register."""
        return REGISTERS["production" if self.mode == "production" else self.type]

    @property
    def is_split(self) -> bool:
        """Whether its energy is told apart by source."""
        return self.type == "electricity" and self.mode == "consumption"


def meters_of(count: int) -> list[Meter]:
    """A connection to the grid, a plant, one meter of water, and flats."""
    return [
        Meter(0, mode="introduction"),
        Meter(1, mode="production"),
        Meter(2, type="cold_water"),
        *(Meter(number) for number in range(3, count)),
    ]


def days_between(first: date, last: date) -> list[date]:
    """Both included."""
    return [first + timedelta(days=number) for number in range((last - first).days + 1)]


@dataclass
class LongLake:
    """A data directory that was filled from ``first`` on, every day at six in the morning after it."""

    layout: Layout
    meters: Sequence[Meter]
    counted: dict[str, int] = field(default_factory=dict)
    """What each register stands at, in thousandths."""

    def write(self, first: date, last: date) -> None:
        """Every dataset of these days, a year at a time: a row takes a few hundred bytes of memory."""
        write_empty_files(self.layout)
        days = days_between(first, last)
        for year in sorted({day.year for day in days}):
            self.add([day for day in days if day.year == year])

    def add(self, days: Sequence[date]) -> None:
        """Days that follow those already written."""
        clock = _quarter_hours(days[0], days[-1])
        self._write("meter_intervals", _stacked(self._intervals(meter, clock) for meter in self.meters))
        self._write("meter_indices", _stacked(self._indices(meter, clock) for meter in self.meters))
        self._write("site_intervals", _site_series(clock))
        self._write("sites", _each_day(days, [_listed_site()], DATASETS["sites"].columns))
        self._write("meters", _each_day(days, [_listed(meter) for meter in self.meters], DATASETS["meters"].columns))
        for day in days:
            self.ask(day, asked_at=datetime.combine(day + timedelta(days=1), datetime.min.time(), UTC))

    def ask(self, day: date, *, asked_at: datetime) -> None:
        """What coverage says after every dataset of a day was asked for."""
        meter_ids = [meter.id for meter in self.meters]
        subjects = {
            "sites": [SITE], "meters": [SITE], "sensors": [SITE], "site_intervals": ["electricity"],
            "meter_intervals": meter_ids, "meter_indices": meter_ids,
        }  # fmt: skip
        for dataset, names in subjects.items():
            rows = pl.DataFrame({"subject_id": names}).with_columns(
                site_id=pl.lit(SITE),
                first_asked_at_utc=pl.lit(asked_at),
                last_asked_at_utc=pl.lit(asked_at),
                last_changed_at_utc=pl.lit(asked_at),
                interval_minutes=pl.lit(15 if "intervals" in dataset else None),
                state=pl.lit("complete"),
                equal_answers=pl.lit(2),
                equal_after_month=pl.lit(2),
            )
            path = self.layout.coverage_file(dataset, day)
            path.parent.mkdir(parents=True, exist_ok=True)
            _shaped(rows, COVERAGE_SCHEMA).write_parquet(path)

    def revise(self, day: date, *, asked_at: datetime) -> None:
        """One interval of one flat gets another value."""
        path = self.layout.data_file("meter_intervals", day)
        rows = pl.read_parquet(path, glob=False, hive_partitioning=False)
        is_chosen = (pl.col("meter_id") == self.meters[-1].id) & (pl.col("superseded_at_utc").is_null())
        chosen = rows.filter(is_chosen).sort("interval_start_utc").head(40).tail(1)
        old = chosen.with_columns(superseded_at_utc=pl.lit(asked_at))
        new = chosen.with_columns(total=pl.col("total") + 1, grid=pl.col("grid") + 1, fetched_at_utc=pl.lit(asked_at))
        rest = rows.join(chosen, on=["meter_id", "interval_start_utc"], how="anti")
        _stacked([rest, old, new]).write_parquet(path)

    def live_a_day(self, day: date) -> None:
        """What a daily run does to the lake on the morning after ``day``."""
        self.add([day])
        asked_at = datetime.combine(day + timedelta(days=1), datetime.min.time(), UTC) + timedelta(hours=6)
        for before in days_between(day - timedelta(days=LOOKBACK_DAYS), day - timedelta(days=1)):
            self.ask(before, asked_at=asked_at)
        self.revise(day - timedelta(days=REVISED_DAYS_AGO), asked_at=asked_at)

    def _intervals(self, meter: Meter, clock: pl.DataFrame) -> pl.DataFrame:
        totals = _totals(meter, clock)
        solar = (totals * 0.3).cast(pl.Int64)
        return clock.select("local_date", "interval_start_utc", "interval_end_utc", "fetched_at_utc").with_columns(
            site_id=pl.lit(SITE),
            meter_id=pl.lit(meter.id),
            total=totals / 1000,
            solar=solar / 1000 if meter.is_split else pl.lit(None),
            grid=(totals - solar) / 1000 if meter.is_split else pl.lit(None),
        )

    def _indices(self, meter: Meter, clock: pl.DataFrame) -> pl.DataFrame:
        counted = _totals(meter, clock).cum_sum() + self.counted.get(meter.id, 0)
        self.counted[meter.id] = int(counted[-1])
        return clock.select(
            "local_date", "fetched_at_utc", read_at_utc="interval_end_utc"
        ).with_columns(
            (counted / 1000).alias(meter.register), site_id=pl.lit(SITE), meter_id=pl.lit(meter.id)
        )  # fmt: skip

    def _write(self, dataset: str, rows: pl.DataFrame) -> None:
        parts = rows.partition_by("local_date", as_dict=True, include_key=False)
        for (day,), part in parts.items():
            path = self.layout.data_file(dataset, day)
            path.parent.mkdir(parents=True, exist_ok=True)
            _shaped(part, DATASETS[dataset].schema).write_parquet(path)


def _stacked(frames: Iterable[pl.DataFrame]) -> pl.DataFrame:
    """All rows; what a frame lacks is null."""
    return pl.concat(list(frames), how="diagonal_relaxed")


def _shaped(frame: pl.DataFrame, schema: Mapping[str, pl.DataType | type[pl.DataType]]) -> pl.DataFrame:
    """These columns and types, in order; what is not there is null."""
    return frame.select(
        (pl.col(name) if name in frame.columns else pl.lit(None)).cast(type_).alias(name)
        for name, type_ in schema.items()
    )


def _quarter_hours(first: date, last: date) -> pl.DataFrame:
    """Every quarter-hour of these local days, with its number since 1970 and when it was fetched."""
    bounds = [
        pl.select(pl.lit(day).cast(pl.Datetime("us")).dt.replace_time_zone(ZONE).dt.convert_time_zone("UTC")).item()
        for day in (first, last + timedelta(days=1))
    ]
    starts = pl.datetime_range(*bounds, "15m", closed="left", eager=True, time_zone="UTC")
    local = starts.dt.convert_time_zone(ZONE)
    return pl.DataFrame({
        "interval_start_utc": starts,
        "interval_end_utc": starts.dt.offset_by("15m"),
        "local_date": local.dt.date(),
        "hour": local.dt.hour(),
        "number": starts.dt.epoch("s") // 900,
    }).with_columns(
        fetched_at_utc=(pl.col("local_date") + pl.duration(days=1)).cast(pl.Datetime("us", "UTC"))
    )  # fmt: skip


def _totals(meter: Meter, clock: pl.DataFrame) -> pl.Series:
    """Thousandths per quarter-hour, the same whenever asked: by the sun for a plant, noise on a base for the rest."""
    noise = (clock["number"] * 2654435761 + meter.number * 40503) % 1009 % 400
    if meter.mode == "production":
        return noise * clock["hour"].is_between(9, 15).cast(pl.Int64) * 20
    return noise + 50 + meter.number


def _site_series(clock: pl.DataFrame) -> pl.DataFrame:
    consumed = clock["number"] * 7919 % 5000 + 2000
    produced = (consumed * 0.3).cast(pl.Int64)
    return clock.select("local_date", "interval_start_utc", "interval_end_utc", "fetched_at_utc").with_columns(
        site_id=pl.lit(SITE),
        meter_type=pl.lit("electricity"),
        consumption=consumed / 1000,
        production=produced / 1000,
        grid_import=(consumed - produced) / 1000,
        self_consumption=produced / 1000,
        grid_export=pl.lit(0.0),
    )


def _listed_site() -> dict[str, object]:
    return {
        "site_id": SITE, "site_name": "Benchmark", "created_at_utc": datetime(2010, 1, 1, tzinfo=UTC),
        "latitude": 47.0, "longitude": 8.5, "timezone": ZONE, "is_timezone_assumed": False,
    }  # fmt: skip


def _listed(meter: Meter) -> dict[str, object]:
    return {
        "site_id": SITE, "meter_id": meter.id, "meter_name": f"Meter {meter.number}", "meter_type": meter.type,
        "meter_mode": meter.mode, "primary_address": meter.number, "is_rule_meter": False,
    }  # fmt: skip


def _each_day(
    days: Sequence[date],
    rows: Sequence[Mapping[str, object]],
    schema: Mapping[str, pl.DataType | type[pl.DataType]],
) -> pl.DataFrame:
    listed = _shaped(pl.DataFrame(list(rows)), schema)
    dates = pl.DataFrame({"local_date": list(days)}).with_columns(
        fetched_at_utc=(pl.col("local_date") + pl.duration(days=1)).cast(pl.Datetime("us", "UTC"))
    )
    return dates.join(listed, how="cross")


@dataclass
class Timed:
    """What refreshes of one lake took, one entry per day."""

    wall: list[float] = field(default_factory=list)
    """Seconds without the copy."""
    cpu: list[float] = field(default_factory=list)
    """Seconds of this process and of dbt, with the copy: it hardly takes any."""
    written: list[int] = field(default_factory=list)
    """Bytes by which processes wrote more to the disk, the copy included."""
    copied: list[float] = field(default_factory=list)
    size: int = 0
    """Bytes of the published file."""
    nodes: list[dict[str, float]] = field(default_factory=list)
    """Seconds by the model or test."""

    def of(self, kind: str) -> float:
        """Seconds of all models, or all tests: each in its quickest refresh."""
        return sum(self.of_node(name) for name in self.nodes[0] if name.startswith(kind))

    def of_node(self, name: str) -> float:
        """Seconds of one of them in its quickest refresh."""
        return min(day.get(name, 0.0) for day in self.nodes)

    def take(self, layout: Layout) -> RefreshReport:
        """Refresh once, and note what it took."""
        cpu, written, began = _cpu_seconds(), _written_bytes(), time.monotonic()
        report = refresh(layout, SETTINGS)
        assert report.models is not None
        assert report.published is not None
        self.copied.append(report.published.seconds)
        self.wall.append(time.monotonic() - began - report.published.seconds)
        self.cpu.append(_cpu_seconds() - cpu)
        self.written.append(_written_bytes() - written)
        self.size = report.published.size_bytes
        self.nodes.append({f"{node.kind} {node.name}": node.seconds for node in report.models.nodes})
        return report


def _cpu_seconds() -> float:
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in used)


def _written_bytes() -> int:
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_oublock for usage in used) * 512


def measure(root: Path, *, years: Sequence[int], meters: int, days: int) -> Iterator[tuple[int, Timed]]:
    """By years: what daily refreshes took, measured by turns."""
    lakes = {}
    for number in years:
        lakes[number] = LongLake(Layout(root / f"{number} years"), meters_of(meters))
        began = time.monotonic()
        lakes[number].write(FIRST_NEW_DAY.replace(year=FIRST_NEW_DAY.year - number), FIRST_NEW_DAY - timedelta(days=1))
        filled = time.monotonic()
        refresh(lakes[number].layout, SETTINGS)
        sys.stderr.write(
            f"{number} years: lake {filled - began:.0f} s, first refresh {time.monotonic() - filled:.0f} s\n"
        )
    timed = {number: Timed() for number in years}
    for day in days_between(FIRST_NEW_DAY, FIRST_NEW_DAY + timedelta(days=days - 1)):
        for number in years:
            lakes[number].live_a_day(day)
            report = timed[number].take(lakes[number].layout)
            assert not report.changes.full_refresh
            sys.stderr.write(
                f"{day} {number} years: wall {timed[number].wall[-1]:.1f} s, cpu {timed[number].cpu[-1]:.1f} s, "
                f"copy {timed[number].copied[-1]:.2f} s\n"
            )
    yield from timed.items()


def ratio_of(timed: Mapping[int, Timed]) -> float:
    """CPU seconds of a daily refresh of the longest lake, times those of the shortest."""
    return min(timed[max(timed)].cpu) / min(timed[min(timed)].cpu)


def as_markdown(timed: Mapping[int, Timed], *, meters: int, days: int, shown_from: float) -> str:
    """Whole refreshes, and what takes ``shown_from`` seconds or more in the longest lake."""
    first, last = min(timed), max(timed)
    short, long = timed[first], timed[last]

    def line(name: str, brief: float, lengthy: float, unit: str = "s", digits: int = 2) -> str:
        return f"| {name} | {brief:.{digits}f} {unit} | {lengthy:.{digits}f} {unit} | {lengthy / brief:.2f} |"

    names = sorted(long.nodes[0], key=lambda name: -long.of_node(name))
    lines = [
        "# A daily refresh after ten years",
        "",
        f"Two lakes of {meters} meters with quarter-hours and as many raw readings, one of {first} and one of {last}",
        f"years, each refreshed {days} times by turns: after a new day, {LOOKBACK_DAYS} days asked again, and one",
        "revised value. The lowest of each figure counts, because what else the machine does only adds. Written by",
        "`make bench-refresh` alone; what follows from it stands in [decision 0011](decisions/0011-ten-years.md).",
        "",
        f"Measured on {datetime.now(UTC):%Y-%m-%d} with {os.cpu_count()} cores.",
        "",
        f"| a daily refresh | {first} years | {last} years | ratio |",
        "| --- | --- | --- | --- |",
        line(f"**CPU** (goal: at most {GOAL})", min(short.cpu), min(long.cpu)),
        line("from begin to end, without the copy", min(short.wall), min(long.wall)),
        line("models alone", short.of("model"), long.of("model")),
        line("data tests alone", short.of("test"), long.of("test")),
        line("the copy that is published", min(short.copied), min(long.copied)),
        line("the published file", short.size / 1e6, long.size / 1e6, "MB", 0),
        line("written, the copy included", min(short.written) / 1e6, min(long.written) / 1e6, "MB", 0),
        "",
        f"| from {shown_from} s on | {first} years | {last} years | ratio |",
        "| --- | --- | --- | --- |",
        *(
            line(f"`{name}`", short.of_node(name), long.of_node(name))
            for name in names
            if long.of_node(name) >= shown_from
        ),
        "",
    ]
    return "\n".join(lines)


def main() -> int:
    """Run it and write the tables; 1 if the goal is missed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--years", type=int, nargs=2, default=[1, 10])
    parser.add_argument("--meters", type=int, default=12)
    parser.add_argument("--days", type=int, default=5, help="daily refreshes of each lake, by turns")
    parser.add_argument("--shown-from", type=float, default=0.1, metavar="SECONDS")
    parser.add_argument("--folder", type=Path, help="keep the lakes there; default: a temporary one")
    parser.add_argument("--output", type=Path, help="default: stdout")
    options = parser.parse_args()
    root = options.folder or Path(tempfile.mkdtemp(prefix="refresh-years-"))
    try:
        timed = dict(measure(root, years=options.years, meters=options.meters, days=options.days))
    finally:
        if not options.folder:
            shutil.rmtree(root)
    table = as_markdown(timed, meters=options.meters, days=options.days, shown_from=options.shown_from)
    if options.output:
        options.output.write_text(table, encoding="utf-8")
    else:
        sys.stdout.write(table)
    return 0 if ratio_of(timed) <= GOAL else 1


if __name__ == "__main__":
    sys.exit(main())
