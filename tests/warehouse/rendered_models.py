"""The models' own SQL without dbt, so that a property can run it over hundreds of drawn tables in one DuckDB."""

from __future__ import annotations

import jinja2

from climkit_pipeline.warehouse.dbt_project import PROJECT_DIR


class Relation(str):
    """A table's name, as dbt's relations know how to write it."""

    __slots__ = ()

    def include(self, **_: bool) -> Relation:
        return self


def rendered(text: str, *, macros: str = "", **given: object) -> str:
    """SQL as dbt renders it, with the macros of some files; ``given`` are further names of dbt."""
    source = "".join((PROJECT_DIR / "macros" / name).read_text() for name in macros.split())
    environment = jinja2.Environment(undefined=jinja2.StrictUndefined)  # noqa: S701 - SQL, not HTML
    names = {"ref": Relation, "source": lambda schema, name: Relation(f"{schema}.{name}"), "config": lambda **_: ""}
    return environment.from_string(source + text).render(names | given)


def rendered_model(path: str, *, macros: str = "", **given: object) -> str:
    return rendered((PROJECT_DIR / "models" / f"{path}.sql").read_text(), macros=macros, **given)
