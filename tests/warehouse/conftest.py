"""One small lake per session, built once with real dbt and published; tests that change something work on a copy."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

import duckdb
import pytest
from small_lake import SmallLake, build_small_lake

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


@pytest.fixture(scope="session")
def built(tmp_path_factory) -> Built:
    # Signs that mean something in a file pattern, in SQL or to a formatter: a user's directory may hold them.
    layout = Layout(tmp_path_factory.mktemp("data") / "o'clock [100%] {x}")
    lake = build_small_lake()
    lake.write(layout)
    return Built(layout, lake, refresh(layout, SETTINGS))


@pytest.fixture
def copy(built, tmp_path) -> Built:
    """The built data directory to change at will; its lake's rows are new objects."""
    layout = Layout(tmp_path / "copy")
    shutil.copytree(built.layout.root, layout.root)
    return Built(layout, build_small_lake(), built.report)


@pytest.fixture(scope="session")
def project_root() -> Path:
    return Path(__file__).resolve().parents[2]
