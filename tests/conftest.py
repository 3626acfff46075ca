"""How the tests run: the longest files first, in memory where there is room, and few pauses for rubbish."""

from __future__ import annotations

import gc
import os
import shutil
from pathlib import Path

import pytest

# Workers share the cores. Before Polars is imported, which reads it then; commands that tests start inherit it.
os.environ.setdefault("POLARS_MAX_THREADS", "1")

FILES_IN_MEMORY = Path("/dev/shm")  # noqa: S108 - pytest makes a folder of its own there
ROOM_BYTES = 8 << 30
"""Several times the 1 GB that `make test` held at once: room there is memory, which the workers need, too."""

LONGEST_FIRST = (
    "test_warehouse_quality.py", "test_demo.py", "test_ingest_run.py", "test_defs.py", "test_rehearsals_bench_scale.py",
    "test_service.py", "test_backfill.py", "test_missed_mornings.py", "test_ui.py",
    "test_billing_year.py", "test_measured_profiles.py", "test_warehouse_refresh.py", "test_closing_commands.py",
)  # fmt: skip


def pytest_configure() -> None:
    """A test writes and deletes hundreds of small files: on a disk a tenth of the CPU, and a fifth of the time."""
    if FILES_IN_MEMORY.is_dir() and shutil.disk_usage(FILES_IN_MEMORY).free > ROOM_BYTES:
        os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(FILES_IN_MEMORY))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    rank = {name: number for number, name in enumerate(LONGEST_FIRST)}
    items.sort(key=lambda item: rank.get(item.path.name, len(rank)))


def pytest_collection_finish() -> None:
    """What was imported and collected is no rubbish: to look through it for some again and again took a sixth."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(100_000, 20, 100)


def pytest_unconfigure() -> None:
    """At the end everything is let go again, or DuckDB counts what was left."""
    gc.unfreeze()
