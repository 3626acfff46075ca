"""A data directory whose models have been built, and the settings they were built with."""

from __future__ import annotations

from dataclasses import dataclass, replace

import duckdb
import polars as pl
from small_lake import SmallLake

from climkit_pipeline.lake.layout import Layout
from climkit_pipeline.warehouse.lake_state import ModelSettings
from climkit_pipeline.warehouse.refresh import RefreshReport, open_refresh, refresh

SETTINGS = ModelSettings(close_after_days=10, default_timezone="Europe/Zurich", pipeline_version="0.0.0-test")


@dataclass
class Built:
    layout: Layout
    lake: SmallLake
    report: RefreshReport

    def rows(self, sql: str, parameters: list[object] | None = None) -> list[tuple]:
        with duckdb.connect(self.layout.warehouse, read_only=True) as connection:
            connection.execute("set timezone = 'UTC'")
            return connection.execute(sql, parameters).fetchall()

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
