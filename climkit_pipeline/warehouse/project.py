"""The SQL models as they stand in ``dbt_like_sql/``: rendered, in order, with their descriptions and tests.

The files are a dbt project, so that everybody who knows dbt can read them, and dbt's own unit tests run on them. To
render them takes no more than Jinja: no model asks the database anything while it is compiled, and macros are
expressions. dbt itself took 14 s of CPU to parse what is rendered here in half a second (docs/decisions/0015).

Here: reading, rendering, and the order of the models. Not here: running them (``warehouse.build``).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, cached_property, partial
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Any, Literal, get_args

import jinja2
import yaml

from climkit_pipeline.errors import WarehouseError
from climkit_pipeline.files import fingerprint
from climkit_pipeline.installation import PROJECT_DIR

FOLDERS = ("seeds", "lake", "listing", "series", "days", "registers", "periods", "quality", "bills", "analysis")
"""The way of the data: a model reads its own folder and earlier ones."""

Kind = Literal["seed", "table", "by_day", "by_month", "view"]
"""How a model is kept (see ``warehouse.build``)."""

INNER_SCHEMA = "intermediate"
PUBLISHED_SCHEMAS = ("main", "analysis")
"""What analysts open: the tables that others build on, and the views that are made for people."""


def schema_of(name: str, folder: str) -> str:
    """The schema that a model lies in: what is not published has one of its own, and so have the views for people."""
    if folder == "seeds" or name.startswith("int_"):
        return INNER_SCHEMA
    return "analysis" if folder == "analysis" else "main"


@dataclass(frozen=True)
class Model:
    """One table or view."""

    name: str
    folder: str
    kind: Kind
    sql: str
    """Rendered; of a seed, the query that reads its file."""
    refs: tuple[str, ...]
    """The models that it reads."""
    sources: tuple[str, ...]
    """The tables of schema ``pipeline`` that it reads: files of the lake, and what Python states."""
    description: str
    columns: Mapping[str, str]
    """Descriptions by column."""
    options: Mapping[str, Any] = field(default_factory=dict)
    """Whatever else its ``config`` states."""

    @property
    def schema(self) -> str:
        """Where it lies in the build file, and in the published one if it is there."""
        return schema_of(self.name, self.folder)

    @property
    def is_published(self) -> bool:
        """Whether analysts see it; the others are on the way."""
        return self.schema in PUBLISHED_SCHEMAS

    @property
    def relation(self) -> str:
        """Schema and name, as SQL writes them."""
        return f"{self.schema}.{self.name}"


@dataclass(frozen=True)
class DataTest:
    """A query that finds nothing where all is well."""

    name: str
    model: str
    """The table that it says something about."""
    sql: str
    is_warning: bool


@dataclass(frozen=True)
class Project:
    """Every model, test and function."""

    models: Mapping[str, Model]
    """By name, each after those that it reads."""
    tests: Sequence[DataTest]
    functions: Mapping[str, str]
    """Table macros of the published warehouse: the statement that makes each."""

    @cached_property
    def inner_models(self) -> Mapping[str, tuple[str, ...]]:
        """By published table: the inner models on the way to it from other published tables, in order."""
        found: dict[str, set[str]] = {}
        for name, model in self.models.items():
            inner = [ref for ref in model.refs if not self.models[ref].is_published]
            found[name] = set(inner).union(*(found[ref] for ref in inner))
        return {
            name: tuple(each for each in self.models if each in inner)
            for name, inner in found.items()
            if self.models[name].is_published
        }


def project_files() -> list[Path]:
    """Every file of the models, ascending. Raises WarehouseError if they are not where they belong."""
    if not (PROJECT_DIR / "dbt_project.yml").is_file():
        raise WarehouseError(f"the SQL models are not where they belong ({PROJECT_DIR}); install the project anew")
    files = (path for path in PROJECT_DIR.rglob("*") if path.suffix in {".sql", ".yml", ".csv"})
    return sorted(path for path in files if path.name != "_unit_tests.yml")


@cache
def models_version() -> str:
    """A hash of all that builds tables: when it changes, what other models have built counts for nothing."""
    return fingerprint(project_files(), PROJECT_DIR)


@cache
def load_project() -> Project:
    """The project as it stands in its files. Raises WarehouseError that names the file that cannot be read."""
    return _Reader().read()


class _Reader:
    """Reads the files once; notes what each template refers to while it is rendered."""

    def __init__(self) -> None:
        self._config = _yaml(PROJECT_DIR / "dbt_project.yml")
        self._refs: list[str] = []
        self._sources: list[str] = []
        self._options: dict[str, Any] = {}
        self._environment = jinja2.Environment(undefined=jinja2.StrictUndefined, extensions=["jinja2.ext.do"])  # noqa: S701 - SQL, not HTML
        self._environment.globals |= {"ref": self._ref, "source": self._source, "config": self._configure}
        macros = "".join(path.read_text(encoding="utf-8") for path in sorted((PROJECT_DIR / "macros").rglob("*.sql")))
        tests = "".join(
            path.read_text(encoding="utf-8") for path in sorted((PROJECT_DIR / "tests/generic").glob("*.sql"))
        )
        module = self._environment.from_string(macros + _tests_as_macros(tests)).module
        self._environment.globals |= {name: value for name, value in vars(module).items() if callable(value)}

    def read(self) -> Project:
        described = self._described()
        seeds = [self._seed(path, described) for path in sorted((PROJECT_DIR / "seeds").glob("*.csv"))]
        paths = sorted((PROJECT_DIR / "models").rglob("*.sql"))
        self._folders = {path.stem: _folder_of(path) for path in paths} | {seed.name: seed.folder for seed in seeds}
        found = seeds + [self._model(path, described) for path in paths]
        by_name = {model.name: model for model in found}
        # Folder by folder, and inside one what is read comes first: the order in which a person reads them, too.
        order = TopologicalSorter({model.name: model.refs for model in found})
        position = {name: number for number, name in enumerate(order.static_order())}
        ordered = sorted(found, key=lambda model: (FOLDERS.index(model.folder), position[model.name]))
        models = {model.name: model for model in ordered}
        _check_order(models)
        tests = [test for model in ordered for test in self._tests_of(model, described.get(model.name, {}))]
        tests += [self._singular_test(path) for path in sorted((PROJECT_DIR / "tests").glob("*.sql"))]
        return Project(models, tests, self._functions(by_name))

    def _described(self) -> dict[str, Any]:
        found = {}
        for path in sorted(PROJECT_DIR.rglob("*.yml")):
            content = _yaml(path)
            for entry in (*(content.get("models") or ()), *(content.get("seeds") or ())):
                if isinstance(entry, dict):
                    found[entry["name"]] = entry
        return found

    def _seed(self, path: Path, described: Mapping[str, Any]) -> Model:
        entry = described.get(path.stem, {})
        types = self._config["seeds"]["climkit"].get(path.stem, {}).get("+column_types", {})
        columns = path.read_text(encoding="utf-8").partition("\n")[0].split(",")
        kinds = ", ".join(f"'{column}': '{types.get(column, 'varchar')}'" for column in columns)
        quoted = str(path).replace("'", "''")
        sql = f"select * from read_csv('{quoted}', header = true, quote = '\"', columns = {{{kinds}}})"
        return Model(path.stem, "seeds", "seed", sql, (), (), entry.get("description", ""), _columns_of(entry))

    def _model(self, path: Path, described: Mapping[str, Any]) -> Model:
        folder = _folder_of(path)
        sql = self._rendered(path.read_text(encoding="utf-8"), path)
        options = {"materialized": self._config["models"]["climkit"][folder]["+materialized"]} | self._options
        kind = options.pop("materialized")
        if kind not in get_args(Kind):
            raise WarehouseError(f"{path.name}: there is no kind of model {kind!r}")
        entry = described.get(path.stem, {})
        return Model(
            name=path.stem,
            folder=folder,
            kind=kind,
            sql=sql,
            refs=tuple(dict.fromkeys(self._refs)),
            sources=tuple(dict.fromkeys(self._sources)),
            description=_text(entry.get("description")),
            columns=_columns_of(entry),
            options=options,
        )

    def _rendered(self, text: str, path: Path, **given: object) -> str:
        self._refs, self._sources, self._options = [], [], {}
        try:
            return self._environment.from_string(text).render(given).strip()
        except jinja2.TemplateError as error:
            raise WarehouseError(f"{path.name} cannot be rendered: {error}") from error

    def _ref(self, name: str) -> str:
        self._refs.append(name)
        if name not in self._folders:
            raise jinja2.TemplateError(f"there is no model {name!r}")
        return f"{schema_of(name, self._folders[name])}.{name}"

    def _source(self, schema: str, name: str) -> str:
        del schema  # both sources lie in the schema that Python writes
        self._sources.append(name)
        return f"pipeline.{name}"

    def _configure(self, **options: object) -> str:
        self._options |= options
        return ""

    def _tests_of(self, model: Model, entry: Mapping[str, Any]) -> Iterator[DataTest]:
        stated: list[tuple[str, dict[str, Any]]] = [("", test) for test in entry.get("data_tests") or ()]
        for column in entry.get("columns") or ():
            stated += [(column["name"], test) for test in column.get("data_tests") or ()]
        taken: set[str] = set()
        for column_name, test in stated:
            [(kind, given)] = test.items()
            arguments = dict(given.get("arguments") or {})
            if "to" in arguments:
                arguments["to"] = self._ref(str(arguments["to"]).split("'")[1])
            if column_name:
                arguments["column_name"] = column_name
            name = "_".join(filter(None, (kind, column_name, str(arguments.get("to", "")).rpartition(".")[2])))
            while name in taken:
                name += "_too"
            taken.add(name)
            sql = self._environment.globals[f"test_{kind}"](model.relation, **arguments)  # type: ignore[operator]
            is_warning = (given.get("config") or {}).get("severity") == "warn"
            yield DataTest(name, model.name, str(sql).strip(), is_warning)

    def _singular_test(self, path: Path) -> DataTest:
        sql = self._rendered(path.read_text(encoding="utf-8"), path)
        return DataTest(path.stem, self._refs[0], sql, is_warning=self._options.get("severity") == "warn")

    def _functions(self, models: Mapping[str, Model]) -> dict[str, str]:
        """Table macros.

        ``models_up_to`` in one gives SQL of models as common table expressions, ``part`` a text that several share.
        """
        found = {}
        for path in sorted((PROJECT_DIR / "functions").glob("*.sql")):
            expressions = _Expressions(models)
            given: dict[str, object] = {"models_up_to": expressions.up_to, "stated": expressions.stated}
            given["part"] = partial(self._part, given)
            found[path.stem] = self._rendered(path.read_text(encoding="utf-8"), path, **given)
        calls = {name: [other for other in found if other != name and f"{other}(" in found[name]] for name in found}
        return {name: found[name] for name in TopologicalSorter(calls).static_order()}

    def _part(self, given: Mapping[str, object], name: str) -> str:
        path = PROJECT_DIR / "functions" / "parts" / f"{name}.sql"
        return self._environment.from_string(path.read_text(encoding="utf-8")).render(given).strip()


class _Expressions:
    """Models as common table expressions of one query, so that a function can run them over other rows."""

    def __init__(self, models: Mapping[str, Model]) -> None:
        self._models = models
        self._known: list[str] = []

    def stated(self, name: str) -> str:
        """The name of an expression that the function itself states in the place of a model."""
        self._known.append(name)
        return name

    def up_to(self, name: str) -> str:
        """A model, and before it the models on the way from what is stated so far: each an expression."""
        wanted = [each for each in self._needed(name) if each not in self._known]
        self._known += wanted
        return ",\n\n".join(f"{each} as (\n{self._own_sql(each)}\n)" for each in wanted)

    def _needed(self, name: str) -> list[str]:
        """The models on the way from what is stated to ``name``, each after those that it reads."""
        graph: dict[str, list[str]] = {}

        def reaches(each: str) -> bool:
            if each in self._known:
                graph.setdefault(each, [])
                return True
            if each not in graph:
                graph[each] = [ref for ref in self._models[each].refs if reaches(ref)]
            return bool(graph[each])

        reaches(name)
        # What stands on nothing of it is a table of the published file like any other.
        return [each for each in TopologicalSorter(graph).static_order() if graph.get(each)]

    def _own_sql(self, name: str) -> str:
        """A model's SQL with the bare names of expressions in the place of tables."""
        model = self._models[name]
        known = {self._models[ref].relation for ref in model.refs if ref in self._known}
        return re.sub(
            r"\b\w+\.\w+\b", lambda found: found[0].partition(".")[2] if found[0] in known else found[0], model.sql
        )


def _folder_of(path: Path) -> str:
    return path.relative_to(PROJECT_DIR / "models").parts[0]


def _check_order(models: Mapping[str, Model]) -> None:
    for model in models.values():
        for ref in model.refs:
            if FOLDERS.index(models[ref].folder) > FOLDERS.index(model.folder):
                raise WarehouseError(f"{model.folder}/{model.name} reads {ref} of a later folder, {models[ref].folder}")


def _yaml(path: Path) -> dict[str, Any]:
    content = yaml.load(path.read_text(encoding="utf-8"), _LOADER)  # noqa: S506 - the safe one, in C where there is one
    return content or {}


def _columns_of(entry: Mapping[str, Any]) -> dict[str, str]:
    return {column["name"]: _text(column.get("description")) for column in entry.get("columns") or ()}


def _text(description: str | None) -> str:
    return " ".join((description or "").split())


def _tests_as_macros(text: str) -> str:
    """The generic tests of dbt are macros whose names begin with ``test_``."""
    return re.sub(r"{%-?\s*endtest\s*-?%}", "{% endmacro %}", re.sub(r"{%-?\s*test (\w+)", r"{% macro test_\1", text))


_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
