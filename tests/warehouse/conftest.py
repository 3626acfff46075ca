"""One small lake, built once and published for all workers; tests that change something work on a copy."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from built_warehouse import SETTINGS, Built
from small_lake import build_small_lake

from climkit_pipeline.files import file_lock
from climkit_pipeline.lake.layout import Layout
from climkit_pipeline.warehouse.refresh import refresh

ODD_NAME = "o'clock [100%] {x}"
"""Signs that mean something in a file pattern, in SQL or to a formatter: a user's directory may hold them."""


@pytest.fixture(scope="session")
def built(tmp_path_factory) -> Built:
    layout = Layout(tmp_path_factory.mktemp("data") / ODD_NAME)
    shutil.copytree(_built_once(tmp_path_factory.getbasetemp()).root, layout.root)
    return Built(layout, build_small_lake)


def _built_once(folder: Path) -> Layout:
    """The data directory that the first worker builds and all copy: DuckDB lets one process alone open its files."""
    if "PYTEST_XDIST_WORKER" in os.environ:
        folder = folder.parent
    layout, is_built = Layout(folder / "small-lake" / ODD_NAME), folder / "small-lake.built"
    with file_lock(folder / "small-lake.lock"):
        if not is_built.exists():
            build_small_lake().write(layout)
            refresh(layout, SETTINGS)
            is_built.touch()
    return layout


@pytest.fixture
def copy(built, tmp_path) -> Built:
    """The built data directory to change at will; its lake's rows are new objects."""
    layout = Layout(tmp_path / "copy")
    shutil.copytree(built.layout.root, layout.root)
    return Built(layout, build_small_lake)


@pytest.fixture(scope="session")
def project_root() -> Path:
    return Path(__file__).resolve().parents[2]
