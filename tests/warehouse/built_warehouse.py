"""A data directory whose models have been built, and the settings they were built with."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import date
from functools import cached_property
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
from small_lake import SmallLake

from climkit_pipeline.lake.layout import Layout
from climkit_pipeline.warehouse.lake_state import ModelSettings
from climkit_pipeline.warehouse.refresh import RefreshReport, open_refresh, refresh

SETTINGS = ModelSettings(close_after_days=10, default_timezone="Europe/Zurich", pipeline_version="0.0.0-test")


Period = dict[tuple[str, str], dict[str, Any]]
"""The rows of a period by site and meter, each by column."""


class PublishedFile:
    """A published file that stays open from query to query: to open one costs as much as ten queries.

    It is read under a second name (a hard link), so that the file at the first one can be replaced, or opened in
    another way, as if nobody read it; what is there then is opened anew.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._is_of: tuple[int, ...] = ()
        self._connection: duckdb.DuckDBPyConnection | None = None
        self._periods: dict[tuple[date, date], Period] = {}

    def connection(self) -> duckdb.DuckDBPyConnection:
        status = self._path.stat()
        now = (status.st_dev, status.st_ino, status.st_mtime_ns)
        if self._connection is None or now != self._is_of:
            self._connection, self._is_of = self._opened(now), now
            self._periods.clear()
        return self._connection

    def period(self, first_day: date, last_day: date) -> Period:
        connection = self.connection()
        if (first_day, last_day) not in self._periods:
            found = connection.execute("from billing_between(?, ?)", [first_day, last_day])
            names = [column[0] for column in found.description]
            rows = [dict(zip(names, row, strict=True)) for row in found.fetchall()]
            period = {(row["site_id"], row["meter_id"]): row for row in rows}
            assert len(period) == len(rows)
            self._periods[first_day, last_day] = period
        return self._periods[first_day, last_day]

    def _opened(self, version: tuple[int, ...]) -> duckdb.DuckDBPyConnection:
        folder = self._path.parent
        link = folder.with_name(f"{folder.name} read") / "-".join(map(str, version)) / self._path.name
        link.parent.mkdir(parents=True, exist_ok=True)
        link.unlink(missing_ok=True)
        os.link(self._path, link)
        connection = duckdb.connect(link, read_only=True)
        connection.execute("set timezone = 'UTC'")
        return connection


@dataclass
class Built:
    layout: Layout
    make_lake: Callable[[], SmallLake]
    """Called when a test first asks for rows of the lake: to make them costs more than to copy its files."""
    report: RefreshReport | None = None
    """What the last refresh by this object did."""
    published: PublishedFile = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self.published = PublishedFile(self.layout.warehouse)

    @cached_property
    def lake(self) -> SmallLake:
        return self.make_lake()

    def rows(self, sql: str, parameters: list[object] | None = None) -> list[tuple]:
        return self.published.connection().execute(sql, parameters).fetchall()

    def period(self, first_day: date, last_day: date) -> Period:
        """What ``billing_between`` says of these days, of all meters: to ask for one of them costs as much as for all.

        Asked once, however many tests ask.
        """
        return self.published.period(first_day, last_day)

    def refresh(self, *, full: bool = False) -> RefreshReport:
        self.report = refresh(self.layout, SETTINGS, full=full)
        return self.report


COLUMNS = {
    "meter_facts": """site_id, meter_id, valid_from, valid_until, meter_name, meter_mode, register_map, resolution,
        installed_on,
        replaced_at_utc, in_service_from, in_service_until, billing_point, is_billed, interval_minutes, note""",
    "decisions": "check_name, site_id, meter_id, first_day, last_day, action, decided_by, reason",
    "tolerances": "check_name, tolerance, reason",
    "occupancies": "site, billing_point, occupant, first_day, last_day",
    "closed_versions": """site_id, billing_month, version, kind, closed_at_utc, closed_by, lake_as_of_utc,
        content_hash, frozen_columns""",
    "closed_rows": "site_id, billing_month, version, meter_id, total, solar, grid",
}
"""How tests state rows of the tables in schema ``pipeline``."""


def build_with(layout: Layout, *, full: bool = False, **stated: list[tuple]) -> RefreshReport:
    """Build and publish, with rows in tables of schema ``pipeline`` (meter_facts, decisions, …)."""
    with open_refresh(layout, SETTINGS, full=full) as refresh_:
        given = refresh_.inputs
        known = given.tables | given.read_closed()
        frames = {name: _frame(known[name], COLUMNS[name], rows) for name, rows in stated.items()}
        refresh_.inputs = replace(
            given,
            tables=given.tables | frames,
            read_closed=lambda: known | frames,
            user_digest=f"stated {sorted(stated)}",
        )
        refresh_.look_again()
        models = refresh_.run_models()
        models.check()
        refresh_.follow()
        return RefreshReport(refresh_.changes, models, refresh_.publish(None))


def _frame(known: pl.DataFrame, columns: str, rows: list[tuple]) -> pl.DataFrame:
    """Rows with the columns of a table of the pipeline; what they do not state is null."""
    names = columns.replace(",", " ").split()
    stated = [dict(zip(names, row, strict=True)) for row in rows]
    return pl.DataFrame([{name: row.get(name) for name in known.columns} for row in stated], schema=known.schema)
