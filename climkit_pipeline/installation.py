"""Where the project's own files lie that are not Python: the SQL models, and Dagster's settings."""

from __future__ import annotations

import csv
from pathlib import Path

_PACKAGE_DIR = Path(__file__).resolve().parent
ROOT_DIR = _PACKAGE_DIR / "_shipped" if (_PACKAGE_DIR / "_shipped").is_dir() else _PACKAGE_DIR.parent
"""The top of the checkout, or what a wheel took from there (``setup.py``)."""

PROJECT_DIR = ROOT_DIR / "dbt_like_sql"
"""The SQL models with their seeds, macros and tests, laid out as a project of dbt."""


def seed_rows(name: str) -> list[dict[str, str]]:
    """The lines of one of the models' tables that are files, such as ``quality_checks``."""
    with (PROJECT_DIR / "seeds" / f"{name}.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))
