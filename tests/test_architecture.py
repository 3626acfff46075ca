"""Who may import whom: the layer diagram, read from the source."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

import climkit_pipeline

ROOT = Path(climkit_pipeline.__file__).parent
OURS = ROOT.name

BOTTOM = {"domain", "errors", "files", "installation", "settings"}
MAY_IMPORT = {
    "": set(),
    "errors": set(),
    "domain": {"domain"},
    "files": {"errors"},
    "installation": set(),
    "settings": {"errors"},
    "api": {"api"} | BOTTOM,
    "lake": {"lake"} | BOTTOM,
    "ingest": {"ingest", "api", "lake"} | BOTTOM,
    "user_files": {"user_files", "lake"} | BOTTOM,
    "warehouse": {"warehouse", "user_files", "lake", "languages"} | BOTTOM,
    "languages": {"languages"} | BOTTOM,
    "bill_files": {"bill_files", "languages", "warehouse"} | BOTTOM,
    "report": {"report", "languages", "warehouse"} | BOTTOM,
    "alerts": {"alerts"} | BOTTOM,
    "simulator": {"simulator", "domain"},
    "defs": {"defs", "ingest", "api", "lake", "user_files", "warehouse", "report", "languages", "alerts"} | BOTTOM,
    "definitions": {"defs"} | BOTTOM,
    "cli": {
        "cli",
        "bill_files",
        "report",
        "languages",
        "defs",
        "ingest",
        "api",
        "lake",
        "user_files",
        "warehouse",
        "alerts",
        "simulator",
    }
    | BOTTOM,
}
"""Of the parts of the package, by part."""
ONLY = {"dagster": {"defs", "definitions"}, "httpx": {"api"}, "duckdb": {"warehouse"}, "jinja2": {"warehouse"},
        "yaml": {"warehouse"}, "babel": {"languages"}, "xlsxwriter": {"bill_files", "cli"}, "apprise": {"alerts"},
        "altair": {"report"}, "vl_convert": {"report"}, "typst": {"report"}, "dbt": set()}  # fmt: skip
"""Libraries, by the beginning of their name, that belong to some parts alone; dbt is for development."""
ONLY_IN = {"jinja2": "warehouse.project", "yaml": "warehouse.project"}
"""Libraries that one module needs."""
ONLY_FOR = {
    "ingest.intervals": {"ingest.parsing", "ingest.fetching", "ingest.tasks"},
    "ingest.readings": {"ingest.parsing", "ingest.tasks"},
    "ingest.snapshots": {"ingest.parsing", "ingest.listing_news"},
}
"""Modules of ours that some modules alone import: what an answer means is known where calls are made and parsed."""
STANDARD_LIBRARY_ONLY = {"domain", "simulator", "errors", "files", "installation"}
LOADS_DAGSTER = {"defs", "definitions"}


@dataclass(frozen=True)
class Import:
    """One import of one module, whole name."""

    name: str
    line: int
    when_loaded: bool
    """Whether importing the module runs it: neither inside a function nor for the type checker alone."""


def module_name(path: Path) -> str:
    parts = [OURS, *path.relative_to(ROOT).with_suffix("").parts]
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def part_of(module: str) -> str:
    """The part of the package that a module of ours lies in; empty for the package itself."""
    return [*module.split("."), ""][1]


MODULES = {module_name(path): path for path in sorted(ROOT.rglob("*.py"))}


def imports_of(tree: ast.AST, module: str, *, is_package: bool = False) -> Iterator[Import]:
    """Every import statement of a module, relative ones resolved, with the names that could be modules."""

    def walk(node: ast.AST, *, when_loaded: bool) -> Iterator[Import]:
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield Import(alias.name, node.lineno, when_loaded)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parents = module.split(".")[: len(module.split(".")) - node.level + is_package]
                base = ".".join([*parents, *filter(None, [node.module])])
            is_ours = base.partition(".")[0] == OURS
            names = [f"{base}.{alias.name}" for alias in node.names] if is_ours else [base]
            for name in names:
                yield Import(name, node.lineno, when_loaded)
        inside = when_loaded and not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        checked = isinstance(node, ast.If) and ast.unparse(node.test) in {"TYPE_CHECKING", "typing.TYPE_CHECKING"}
        for child in ast.iter_child_nodes(node):
            skipped = checked and child in node.body
            yield from walk(child, when_loaded=inside and not skipped)

    yield from walk(tree, when_loaded=True)


def breaches_of(source: str, module: str, *, is_package: bool = False) -> list[str]:
    """What a module imports against the diagram, one line each."""
    part = part_of(module)
    breaches = []
    for each in imports_of(ast.parse(source), module, is_package=is_package):
        top = each.name.partition(".")[0]
        problem = None
        if top == OURS:
            target = part_of(each.name)
            if target not in MAY_IMPORT[part]:
                problem = f"{part or OURS} does not see {target or OURS}"
            elif part == "cli" and target == "defs" and each.when_loaded:
                problem = "defs is imported when called, Dagster takes seconds to load"
            imported = ".".join(each.name.split(".")[1:3])
            if imported in ONLY_FOR and module.removeprefix(f"{OURS}.") not in ONLY_FOR[imported]:
                problem = problem or f"{imported} belongs to {' and '.join(sorted(ONLY_FOR[imported]))}"
        elif part in STANDARD_LIBRARY_ONLY and top not in sys.stdlib_module_names:
            problem = f"{part} needs the standard library only"
        else:
            owners = next((owners for library, owners in ONLY.items() if top.startswith(library)), {part})
            problem = None if part in owners else f"{top} belongs to {' and '.join(sorted(owners)) or 'nobody'}"
            if problem is None and top in ONLY_IN and module != f"{OURS}.{ONLY_IN[top]}":
                problem = f"{top} belongs to {ONLY_IN[top]}"
        if problem:
            breaches.append(f"{module}:{each.line} imports {each.name}: {problem}")
    return breaches


def test_every_part_of_the_package_has_its_place_in_the_diagram():
    assert {part_of(module) for module in MODULES} == set(MAY_IMPORT)


@pytest.mark.parametrize("module", MODULES)
def test_no_module_imports_sideways_or_upwards(module):
    path = MODULES[module]
    assert breaches_of(path.read_text(), module, is_package=path.name == "__init__.py") == []


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("api.client", "from climkit_pipeline.lake.layout import Layout"),
        ("api.client", "from climkit_pipeline import lake"),
        ("api.client", "from ..lake import layout"),
        ("api.client", "from .. import lake"),
        ("api.client", "def f():\n    import climkit_pipeline.ingest.windows"),
        ("lake.layout", "import climkit_pipeline.api.client"),
        ("lake.layout", "import httpx"),
        ("lake.layout", "import duckdb"),
        ("ingest.commit", "from climkit_pipeline.warehouse import publish"),
        ("ingest.commit", "from httpx import Client"),
        ("ingest.commit", "from dagster import asset"),
        ("ingest.commit", "from climkit_pipeline.ingest import snapshots"),
        ("ingest.commit", "from climkit_pipeline.ingest.readings import parse_answer"),
        ("ingest.windows", "from . import intervals"),
        ("user_files.checks", "from climkit_pipeline.warehouse.queries import run_query"),
        ("user_files.checks", "import duckdb"),
        ("ingest.windows", "from climkit_pipeline.user_files.lines import Decision"),
        ("warehouse.publish", "from climkit_pipeline.api import client"),
        ("warehouse.publish", "import dagster"),
        ("warehouse.publish", "import jinja2"),
        ("lake.layout", "import yaml"),
        ("defs.alert_sensors", "def f():\n    import apprise"),
        ("alerts.alarms", "from climkit_pipeline.lake.layout import Layout"),
        ("warehouse.refresh", "from dbt.cli.main import dbtRunner"),
        ("defs.warehouse_assets", "from dbt_common import events"),
        ("warehouse.publish", "import climkit_pipeline.definitions"),
        ("domain.periods", "from climkit_pipeline.errors import ClimkitError"),
        ("domain.periods", "import polars"),
        ("settings", "from climkit_pipeline.domain.periods import Period"),
        ("errors", "from climkit_pipeline import settings"),
        ("simulator.world", "from climkit_pipeline.errors import ClimkitError"),
        ("simulator.world", "import numpy"),
        ("defs.resources", "from climkit_pipeline.cli import main"),
        ("defs.resources", "import duckdb"),
        ("cli.main", "from climkit_pipeline.defs.launch import Launcher"),
        ("cli.main", "from climkit_pipeline import defs"),
        ("cli.main", "if True:\n    from climkit_pipeline.defs import launch"),
        ("cli.main", "class A:\n    from climkit_pipeline.defs import launch"),
        ("cli.main", "import dagster._core.instance"),
        ("cli.main", "def f():\n    import dagster"),
        ("cli.main", "from climkit_pipeline.definitions import defs"),
    ],
)
def test_a_breach_is_seen(module, source):
    """This test's own eyes: a checker that misses a form of import passes for ever."""
    assert len(breaches_of(source, f"{OURS}.{module}")) == 1


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("cli.main", "def f():\n    from climkit_pipeline.defs.launch import Launcher"),
        ("cli.main", "if TYPE_CHECKING:\n    from climkit_pipeline.defs.launch import Launcher"),
        ("api.client", "from . import calls\nfrom ..errors import ApiError\nimport httpx"),
        ("definitions", "import dagster as dg\nfrom climkit_pipeline.defs.factory import build_definitions"),
        ("simulator.world", "import json\nfrom climkit_pipeline.domain.periods import Period"),
        ("warehouse.project", "import jinja2\nimport yaml"),
        ("ingest.parsing", "from climkit_pipeline.ingest import intervals, readings, snapshots"),
        ("warehouse.refresh", "from climkit_pipeline.user_files.config_folder import read_user_inputs"),
    ],
)
def test_what_the_diagram_allows_is_no_breach(module, source):
    assert breaches_of(source, f"{OURS}.{module}") == []


def test_no_module_imports_by_a_name_made_at_run_time():
    """The walk above cannot see those."""
    found = [
        module
        for module, path in MODULES.items()
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call)
        and ast.unparse(node.func) in {"__import__", "import_module", "importlib.import_module"}
    ]
    assert found == []


def test_nothing_but_the_definitions_loads_dagster():
    """Through a library, or a function called at import, too: a command would pay seconds for nothing."""
    modules = [module for module in MODULES if part_of(module) not in LOADS_DAGSTER]
    assert len(modules) > 30
    code = (
        "import importlib, sys\n"
        f"for name in {modules!r}: importlib.import_module(name)\n"
        "print([name for name in sys.modules if name.partition('.')[0].startswith('dagster')])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.strip(), done.stderr) == (0, "[]", "")
