"""How the tests run: two workers that begin with the longest files end together, and few pauses for rubbish."""

from __future__ import annotations

import gc

import pytest

LONGEST_FIRST = (
    "test_warehouse_quality.py", "test_demo.py", "test_ingest_run.py", "test_defs.py", "test_rehearsals_bench_scale.py",
    "test_service.py", "test_backfill.py", "test_missed_mornings.py", "test_ui.py",
    "test_billing_year.py", "test_measured_profiles.py", "test_warehouse_refresh.py", "test_closing_commands.py",
)  # fmt: skip


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
