"""The recipes of ``docs/cookbook.md``: to be run by tests, and to write their answers anew.

``python tests/end_to_end/cookbook.py DATA_DIR`` asks the queries on a demo's data and writes what they answer.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import polars as pl

from climkit_pipeline.cli.tables import as_text
from climkit_pipeline.warehouse.queries import run_query

PAGE = Path(__file__).resolve().parents[2] / "docs" / "cookbook.md"
ROWS_SHOWN = 8
RECIPE = re.compile(
    r"^## (?P<title>[^\n]+)\n(?:(?!^## ).)*?```sql\n(?P<sql>.+?)\n```\n(?P<answer>(?:\n\|[^\n]*)*\n?)",
    re.MULTILINE | re.DOTALL,
)
MONTH, NEXT_MONTH = date(2026, 10, 1), date(2026, 11, 1)
"""The months that the page speaks of."""


@dataclass(frozen=True)
class Recipe:
    title: str
    sql: str
    answer: str

    @property
    def columns(self) -> list[str]:
        """Of the answer that the page shows."""
        header = self.answer.strip().partition("\n")[0]
        return [cell.strip() for cell in header.strip("|").split("|")]

    def about(self, month: date, next_month: date) -> str:
        """The query with other months in the place of the page's."""
        return self.sql.replace(f"{MONTH:%Y-%m-}", f"{month:%Y-%m-}").replace(
            f"{NEXT_MONTH:%Y-%m-}", f"{next_month:%Y-%m-}"
        )


def recipes() -> Iterator[Recipe]:
    for found in RECIPE.finditer(PAGE.read_text(encoding="utf-8")):
        yield Recipe(found["title"], found["sql"], found["answer"])


def answered(found: re.Match[str], warehouse: Path) -> str:
    table = as_markdown(run_query(warehouse, found["sql"]))
    return found[0][: found.start("answer") - found.start()] + f"\n{table}\n"


def as_markdown(frame: pl.DataFrame) -> str:
    rows = [frame.columns, ["---"] * frame.width]
    rows += [[as_text(value) for value in row] for row in frame.head(ROWS_SHOWN).iter_rows()]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


if __name__ == "__main__":
    of_demo = Path(sys.argv[1]) / "warehouse.duckdb"
    written = RECIPE.sub(lambda found: answered(found, of_demo), PAGE.read_text(encoding="utf-8"))
    PAGE.write_text(re.sub(r"\|\n+## ", "|\n\n## ", written), encoding="utf-8")
