"""A data directory whose models have been built, and the settings they were built with."""

from __future__ import annotations

from dataclasses import dataclass

import duckdb
from small_lake import SmallLake

from climkit_pipeline.lake.layout import Layout
from climkit_pipeline.warehouse.lake_state import ModelSettings
from climkit_pipeline.warehouse.refresh import RefreshReport, refresh

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
