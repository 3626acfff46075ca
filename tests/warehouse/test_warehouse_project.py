"""The models as files: what they may hold, that all of them are described, and that dbt reads the same as Python."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import duckdb
import jinja2
import jinja2.meta
import pytest
import yaml
from built_warehouse import Built

from climkit_pipeline.installation import PROJECT_DIR
from climkit_pipeline.lake.schemas import DATASETS, JOURNALS
from climkit_pipeline.warehouse.lake_state import WRITE_OPTIONS
from climkit_pipeline.warehouse.project import (
    FOLDERS,
    Model,
    load_project,
    models_version,
    project_files,
)

MODELS = sorted((PROJECT_DIR / "models").rglob("*.sql"))
MACROS = sorted((PROJECT_DIR / "macros").glob("*.sql"))
TESTS = sorted((PROJECT_DIR / "tests").rglob("*.sql"))
MOST_LINES, MOST_PARTS = 150, 10
PART = re.compile(r"^\s*(?:with\s+)?\w+ as (?:materialized )?\($", re.MULTILINE)
"""The beginning of a common table expression, as they are written here."""


def code_of(path: Path) -> str:
    """A file without its comments."""
    text = re.sub(r"{#.*?#}", "", path.read_text(encoding="utf-8"), flags=re.DOTALL)
    return re.sub(r"--.*", "", text)


def test_the_way_of_the_data_goes_through_every_folder_and_never_back():
    models = load_project().models
    assert {model.folder for model in models.values()} == set(FOLDERS)
    folders = [FOLDERS.index(model.folder) for model in models.values()]
    assert folders == sorted(folders)
    backwards = [
        f"{model.folder}/{name} reads {models[ref].folder}/{ref}"
        for name, model in models.items()
        for ref in model.refs
        if FOLDERS.index(models[ref].folder) > FOLDERS.index(model.folder)
    ]
    assert backwards == []
    position = {name: number for number, name in enumerate(models)}
    assert all(position[ref] < position[name] for name, model in models.items() for ref in model.refs)


def test_a_model_is_short_enough_to_be_read():
    """One of them had 1,600 lines once it was rendered, and nobody could say what it did."""
    texts = {path.stem: path.read_text(encoding="utf-8") for path in MODELS}
    assert [name for name, text in texts.items() if text.count("\n") > MOST_LINES] == []
    parts = {name: len(PART.findall(text)) for name, text in texts.items()}
    assert [name for name, number in parts.items() if number > MOST_PARTS] == []
    assert max(parts.values()) > MOST_PARTS / 2  # they are seen


def test_a_macro_is_an_expression():
    """What is a table in between has a name, a grain and a description of its own: it is a model."""
    statement = re.compile(r"^\s*(?:with|create|insert|delete|update|drop|set)\b", re.MULTILINE)
    code = {path.stem: code_of(path) for path in MACROS}
    assert [name for name, text in code.items() if PART.search(text) or statement.search(text)] == []


def test_nothing_is_asked_of_the_database_while_a_file_is_rendered():
    """A model that is another one on another day cannot be tested, nor read."""
    macros = "".join(path.read_text(encoding="utf-8") for path in MACROS)
    given = {"ref", "source", "config", *re.findall(r"{%-?\s*macro (\w+)", macros)}
    found = {}
    for path in [*MODELS, *MACROS, *TESTS]:
        # Of dbt's own words only `test`, which is a macro to Jinja.
        text = re.sub(r"({%-?\s*(?:end)?)test\b", r"\1macro", path.read_text(encoding="utf-8"))
        template = jinja2.Environment(extensions=["jinja2.ext.do"]).parse(text)  # noqa: S701 - SQL, not HTML
        hook = {"target"} if path.stem == "names" else set()  # where dbt asks for a schema
        if names := jinja2.meta.find_undeclared_variables(template) - given - hook:
            found[path.stem] = names
    assert found == {}


def test_the_version_follows_the_models_files():
    assert models_version() == models_version()
    assert {PROJECT_DIR / "dbt_project.yml", *MODELS, *MACROS} <= set(project_files())


# --- Descriptions --------------------------------------------------------------------------------------------------


class StrictLoader(yaml.SafeLoader):
    """Of two equal keys YAML's reader drops the first without a word, and two data tests were never run."""


def _mapping(loader: StrictLoader, node: yaml.MappingNode) -> dict[str, Any]:
    names = [key.value for key, _ in node.value if key.value != "<<"]
    if len(names) != len(set(names)):
        pytest.fail(f"a name stands twice among {names}{node.start_mark}", pytrace=False)
    return loader.construct_mapping(node, deep=True)


StrictLoader.add_constructor("tag:yaml.org,2002:map", _mapping)


@dataclass(frozen=True)
class Entry:
    path: Path
    kind: str
    name: str


def entries() -> Iterator[Entry]:
    for path in sorted(PROJECT_DIR.rglob("_*.yml")):
        with path.open(encoding="utf-8") as file:
            content = yaml.load(file, StrictLoader)  # noqa: S506 - a safe loader
        for kind in ("models", "seeds", "unit_tests"):
            for entry in content.get(kind, ()):
                yield Entry(path, kind, entry["name"])
        for source in content.get("sources", ()):
            for table in source["tables"]:
                yield Entry(path, "sources", table["name"])


def test_each_model_is_described_once_beside_it():
    described = [(entry.path.parent.name, entry.name) for entry in entries() if entry.kind in {"models", "seeds"}]
    assert sorted(described) == sorted((model.folder, name) for name, model in load_project().models.items())


def test_what_python_states_is_described_as_far_as_models_read_it():
    read = {source for model in load_project().models.values() for source in model.sources} | {"changed_days"}
    lake = {*DATASETS, *(f"{name}_coverage" for name in DATASETS), *(journal.name for journal in JOURNALS)}
    assert {entry.name for entry in entries() if entry.kind == "sources"} == read | lake


def test_every_model_and_every_column_is_described_and_nothing_else_is(built):
    models = load_project().models
    assert [name for name, model in models.items() if not model.description] == []
    with duckdb.connect(built.layout.build_file, read_only=True) as connection:
        there = {
            name: {row[0] for row in connection.execute(f"describe {model.relation}").fetchall()}
            for name, model in models.items()
        }
    told = {name: {column for column, text in model.columns.items() if text} for name, model in models.items()}
    assert {name: sorted(there[name] - told[name]) for name in models if there[name] - told[name]} == {}
    stated = {name: set(model.columns) for name, model in models.items()}
    assert {name: sorted(stated[name] - there[name]) for name in models if stated[name] - there[name]} == {}


# --- dbt -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Dbt:
    """What one run of dbt's unit tests said, and what it had read."""

    output: str
    nodes: list[dict[str, Any]]
    results: list[dict[str, Any]]


@pytest.fixture(scope="module")
def dbt(built: Built, tmp_path_factory: pytest.TempPathFactory) -> Dbt:
    """One process: to start it and to read the models takes dbt longer than all else in this file."""
    folder = tmp_path_factory.mktemp("dbt")
    build_file = folder / built.layout.build_file.name  # the name of the file is that of its catalog
    shutil.copyfile(built.layout.build_file, build_file)
    environment = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "TMPDIR") if name in os.environ} | {
        "CLIMKIT_BUILD_FILE": str(build_file),
        "DBT_PROFILES_DIR": str(PROJECT_DIR),
        "DBT_TARGET_PATH": str(folder / "target"),
        "DBT_LOG_PATH": str(folder / "logs"),
        "DBT_SEND_ANONYMOUS_USAGE_STATS": "false",
        "DBT_VERSION_CHECK": "false",
        "DO_NOT_TRACK": "1",
    }
    command = [sys.executable, "-m", "dbt.cli.main", "--no-use-colors", "test", "--select", "test_type:unit"]
    done = subprocess.run(command, cwd=PROJECT_DIR, env=environment, capture_output=True, text=True, check=False)
    results = folder / "target" / "run_results.json"
    assert results.exists(), done.stdout + done.stderr
    manifest = json.loads((folder / "target" / "manifest.json").read_text())
    nodes = [*manifest["nodes"].values(), *manifest["unit_tests"].values()]
    return Dbt(done.stdout, nodes, json.loads(results.read_text())["results"])


def test_dbt_reads_the_same_models_in_the_same_place_with_the_same_refs(dbt):
    def known(model: Model) -> tuple[str, str, set[str]]:
        return model.schema, model.kind, {*model.refs, *model.sources}

    found = {
        node["name"]: (
            node["schema"],
            node["config"]["materialized"],
            {name.rpartition(".")[2] for name in node["depends_on"].get("nodes", ())},
        )
        for node in dbt.nodes
        if node["resource_type"] in {"model", "seed"}
    }
    assert found == {name: known(model) for name, model in load_project().models.items()}


def test_dbt_reads_as_many_data_tests_and_has_nothing_to_complain_of(dbt):
    data_tests = [node for node in dbt.nodes if node["resource_type"] == "test"]
    assert len(data_tests) == len(load_project().tests)
    assert [line for line in dbt.output.splitlines() if "WARNING" in line or "eprecat" in line] == []


def test_the_unit_tests_of_the_models_pass(dbt):
    names = [entry.name for entry in entries() if entry.kind == "unit_tests"]
    assert len(names) > 8
    told = {result["unique_id"].rpartition(".")[2]: (result["status"], result["message"]) for result in dbt.results}
    assert told == dict.fromkeys(names, ("pass", None))


def test_python_and_dbt_write_the_same_format():
    """A file that only one of them writes the old way is refused by older readers, now and then."""
    profile = yaml.safe_load((PROJECT_DIR / "profiles.yml").read_text())
    assert profile["climkit"]["outputs"]["build"]["config_options"] == WRITE_OPTIONS


REACH = timedelta(days=7)
"""More than any model of days looks beyond its own."""


def scanned(plan: dict[str, Any]) -> Iterator[tuple[str, int]]:
    """The tables that a profiled query read, and how many rows it took from each."""
    if plan.get("type") == "TABLE_SCAN" and "Table" in plan["extra_info"]:
        yield plan["extra_info"]["Table"].split(".", 1)[-1], plan["intermediate_rows"]
    for inner in plan.get("children") or plan.get("operator") or ():
        yield from scanned(inner)


def test_what_is_made_of_a_day_reads_that_day_and_a_few_around_it(built: Built):
    """Else a refresh would cost more every year: what is read twice is computed over all days, before any filter."""
    day = date(2026, 10, 12)
    span = f"local_date between date '{day - REACH}' and date '{day + REACH}'"
    with duckdb.connect(built.layout.build_file, read_only=True) as connection:
        connection.execute(f"set timezone = 'UTC'; set variable built_from = date '{day}'")
        connection.execute(f"set variable built_until = date '{day}'")
        read, beyond = set(), []
        for model in load_project().models.values():
            if model.kind != "by_day" or set(model.sources) & {journal.name for journal in JOURNALS}:
                continue
            query = f"select * from ({model.sql}) where local_date = date '{day}'"
            [(_, profile)] = connection.execute(f"explain (analyze, format json) {query}").fetchall()
            for table, rows in scanned(json.loads(profile)):
                columns = [row[0] for row in connection.execute(f"describe {table}").fetchall()]
                if "local_date" not in columns:
                    continue
                [(around,)] = connection.execute(f"select count(*) from {table} where {span}").fetchall()
                read.add(table)
                if rows > around:
                    beyond.append(f"{model.name} took {rows} of {around} rows")
    assert {"main.meter_intervals", "main.meter_indices"} <= read
    assert beyond == [], beyond
