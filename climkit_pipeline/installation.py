"""Where the project's own files lie that are not in the package: it is installed editable, so they are beside it."""

from __future__ import annotations

from pathlib import Path

ROOT_DIR = Path(__file__).resolve().parents[1]
PROJECT_DIR = ROOT_DIR / "dbt_like_sql"
"""The SQL models with their seeds, macros and tests, laid out as a project of dbt."""
