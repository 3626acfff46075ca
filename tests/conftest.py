"""The order of the tests: two workers that begin with the longest files end together."""

from __future__ import annotations

import pytest

LONGEST_FIRST = (
    "test_warehouse_quality.py", "test_demo.py", "test_ingest_run.py", "test_defs.py", "test_rehearsals_bench_scale.py",
    "test_billing_year.py", "test_measured_profiles.py", "test_warehouse_refresh.py", "test_closing_commands.py",
)  # fmt: skip


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    rank = {name: number for number, name in enumerate(LONGEST_FIRST)}
    items.sort(key=lambda item: rank.get(item.path.name, len(rank)))
