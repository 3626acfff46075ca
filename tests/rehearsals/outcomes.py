"""What backfills left on disk, read without the code under test, and how two of them differ.

Compared is everything but when it was fetched or run: that is what two runs may differ in.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import duckdb
import polars as pl
import polars.selectors as cs

DATASETS = (
    "sites",
    "meters",
    "sensors",
    "site_intervals",
    "meter_intervals",
    "meter_indices",
    "sensor_readings",
)
LAKE_TIMES = ("fetched_at_utc", "first_asked_at_utc", "last_asked_at_utc", "last_changed_at_utc")
WAREHOUSE_TIMES = re.compile(
    "fetched|asked|listed_at|superseded|changed_at|replaced_at|seen_on|seen_at|revised_at|as_of"
)
"""Names of columns that tell when something was fetched, asked for or replaced."""
TABLES_OF_RUNS = frozenset({"about", "api_calls", "findings"})
"""What they hold is about the runs themselves: two histories, one result."""
HISTORY = "dagster"
"""Dagster keeps a file per run on purpose."""


@dataclass(frozen=True)
class Outcome:
    """A data directory after a run: tables by name, and the names of its files."""

    lake: Mapping[str, pl.DataFrame]
    warehouse: Mapping[str, pl.DataFrame]
    files: frozenset[str]


def outcome_of(data_dir: Path, last_day: date) -> Outcome:
    """What lies in a data directory, up to ``last_day``: later days hold the listings of the day of the run."""
    lake = {
        f"{dataset} {name}": _lake_table(data_dir, dataset, name, last_day)
        for dataset in DATASETS
        for name in ("data", "coverage")
    }
    warehouse = _warehouse_tables(data_dir / "warehouse.duckdb", last_day)
    return Outcome(lake, warehouse, frozenset(_files(data_dir, last_day)))


def differences(expected: Mapping[str, pl.DataFrame], found: Mapping[str, pl.DataFrame]) -> list[str]:
    """One line per table that differs."""
    lines = [f"{name} is in one of them only" for name in sorted(expected.keys() ^ found.keys())]
    for name in sorted(expected.keys() & found.keys()):
        one, other = expected[name], found[name]
        if not one.equals(other):
            lines.append(f"{name}: {_first_difference(one, other)}")
    return lines


def without_confirmations(tables: Mapping[str, pl.DataFrame], names: Collection[str]) -> dict[str, pl.DataFrame]:
    """The tables, those in ``names`` without the counts of answers that said the same: how often it was asked."""
    return {
        name: in_order(rows.select(~cs.starts_with("equal_"))) if name in names else rows
        for name, rows in tables.items()
    }


def leftovers(data_dir: Path, temporary: Path, found: Outcome, undisturbed: Outcome) -> list[str]:
    """Files that an undisturbed run does not leave, and whatever lies in the folder for temporary files."""
    rollbacks = [str(path.relative_to(data_dir)) for path in data_dir.glob(f"{HISTORY}/**/*-journal")]
    return (
        sorted(found.files - undisturbed.files)
        + sorted(rollbacks)
        + [f"temporary {path.name}" for path in sorted(temporary.iterdir())]
    )


def data_calls_in_ledger(data_dir: Path, endpoints: Collection[str]) -> int:
    """How many attempts at calls for data the lake's own ledger holds."""
    days = sorted((data_dir / "lake" / "api_calls").glob("day=2*/data.parquet"))
    return sum(pl.read_parquet(day)["endpoint"].is_in(list(endpoints)).sum() for day in days)


def _first_difference(one: pl.DataFrame, other: pl.DataFrame) -> str:
    if one.schema != other.schema:
        return f"columns {sorted(set(one.columns) ^ set(other.columns))}"
    if one.height != other.height:
        return f"{other.height} rows instead of {one.height}"
    for expected, found in zip(one.iter_rows(named=True), other.iter_rows(named=True), strict=True):
        changed = [name for name in one.columns if expected[name] != found[name]]
        if changed:
            return ", ".join(f"{name} {found[name]!r} instead of {expected[name]!r}" for name in changed)[:300]
    return "differs"


def _lake_table(data_dir: Path, dataset: str, name: str, last_day: date) -> pl.DataFrame:
    frames = []
    for path in sorted((data_dir / "lake" / dataset).glob(f"day=2*/{name}.parquet")):
        day = date.fromisoformat(path.parent.name.removeprefix("day="))
        if day <= last_day:
            frame = pl.read_parquet(path, hive_partitioning=False)
            frames.append(frame.with_columns(day=pl.lit(day)))
    if not frames:
        return pl.DataFrame()
    rows = pl.concat(frames)
    if "superseded_at_utc" in rows.columns:
        rows = rows.with_columns(is_current=pl.col("superseded_at_utc").is_null()).drop("superseded_at_utc")
    return in_order(rows.drop(LAKE_TIMES, strict=False))


def _warehouse_tables(path: Path, last_day: date) -> dict[str, pl.DataFrame]:
    if not path.exists():
        return {}
    tables = {}
    with duckdb.connect(str(path), read_only=True) as connection:
        # The views for people hold nothing of their own.
        names = connection.execute(
            "select table_name from information_schema.tables where table_schema = 'main'"
        ).fetchall()
        for (name,) in names:
            if name not in TABLES_OF_RUNS:
                rows = pl.DataFrame(connection.sql(f'select * from "{name}"').to_arrow_table())
                if "local_date" in rows.columns:
                    # One of two runs may have come after midnight, or have lasted over it.
                    rows = rows.filter(pl.col("local_date") <= last_day)
                tables[name] = in_order(rows.drop(cs.matches(WAREHOUSE_TIMES.pattern)))
    return tables


def in_order(rows: pl.DataFrame) -> pl.DataFrame:
    """In an order of its own, whatever the order of files and of commits."""
    return rows.sort(~cs.nested())


def _files(data_dir: Path, last_day: date) -> set[str]:
    """Names relative to the data directory, without days after ``last_day`` (of runs) and Dagster's history."""
    names = set()
    for path in data_dir.rglob("*"):
        name = path.relative_to(data_dir)
        days = [part.removeprefix("day=") for part in name.parts if part.startswith("day=2")]
        is_of_a_run = name.parts[0] == HISTORY or (days and days[0] > last_day.isoformat())
        # An empty folder under landing/ is a leftover, too.
        if not is_of_a_run and (path.is_file() or (name.parts[0] == "landing" and len(name.parts) > 1)):
            names.add(str(name))
    return names
