"""The lines that the documentation gives for reading the lake run, and find every row once."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from built_warehouse import Built

BLOCKS = re.findall(
    r"```python\n(.*?)```", (Path(__file__).parents[2] / "docs" / "warehouse.md").read_text(encoding="utf-8"), re.DOTALL
)


def height(found: Any) -> int:
    if isinstance(found, pl.LazyFrame):
        return found.collect().height
    return found.num_rows if hasattr(found, "num_rows") else len(found.fetchall())


@pytest.mark.parametrize("block", BLOCKS, ids=["duckdb", "polars", "pyarrow"])
def test_a_dataset_is_read_as_the_documentation_says(built: Built, block: str, tmp_path: Path, monkeypatch) -> None:
    """A folder read whole met the columns of coverage among those of the data."""
    (tmp_path / "data").symlink_to(built.layout.root)
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    exec(block, names)  # noqa: S102 - our own page
    asked = sum(len(rows) for (name, _), rows in built.lake.coverage.items() if name == "meter_intervals")
    assert height(names["current"]) == len(list(built.lake.current("meter_intervals")))
    assert height(names["asked"]) == asked
