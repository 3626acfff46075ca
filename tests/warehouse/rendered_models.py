"""The models' own SQL, so that a property can run it over hundreds of drawn tables in one DuckDB."""

from __future__ import annotations

import re
from collections.abc import Collection

import duckdb
import jinja2

from climkit_pipeline.installation import PROJECT_DIR
from climkit_pipeline.warehouse.project import load_project


def rendered(text: str) -> str:
    """A template with the macros of the models."""
    macros = "".join(path.read_text(encoding="utf-8") for path in sorted((PROJECT_DIR / "macros").glob("*.sql")))
    environment = jinja2.Environment(undefined=jinja2.StrictUndefined)  # noqa: S701 - SQL, not HTML
    return environment.from_string(macros + text).render()


def rendered_model(name: str) -> str:
    """A model's SQL, which reads tables by their bare names, whatever schema they lie in."""
    return re.sub(r"\b(main|analysis|intermediate|pipeline)\.(?=\w)", "", load_project().models[name].sql)


def make_tables(connection: duckdb.DuckDBPyConnection, *wanted: str, given: Collection[str]) -> None:
    """Tables of the models that are wanted, and of all on the way to them from those that the test states itself."""
    models = load_project().models
    needed = set(wanted)
    for name in reversed(models):
        if name in needed and name not in given:
            needed |= set(models[name].refs)
    # Models that look at the days that are being built: all of them.
    connection.execute("set variable built_from = date '1900-01-01'; set variable built_until = date '9999-12-31'")
    for name in models:
        if name in needed and name not in given:
            connection.execute(f"create or replace table {name} as {rendered_model(name)}")
