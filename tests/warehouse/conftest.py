"""One small lake per session, built once and published; tests that change something work on a copy."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from built_warehouse import SETTINGS, Built
from small_lake import build_small_lake

from climkit_pipeline.lake.layout import Layout
from climkit_pipeline.warehouse.refresh import refresh


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
