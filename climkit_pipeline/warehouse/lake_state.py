"""What changed in the lake, the settings and the user's own inputs since the models last succeeded.

Here: the schema ``pipeline`` of the build file, which the models read: ``lake_state`` (the lake's files as the models
last saw them), ``changed_days``, the files of these days, ``settings``, and the tables of ``PipelineInputs``. Not here:
running the models, and reading rows.

The order of a refresh: ``scan_lake``, ``prepare``, the models, and after all of them succeeded ``advance`` with the
same scan. A file that changes while the models run differs from the scan, so the next refresh sees it; a refresh that
fails half-way is simply repeated.
"""

from __future__ import annotations

import os
import re
import shutil
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

import duckdb
import polars as pl

from climkit_pipeline.errors import WarehouseError
from climkit_pipeline.files import replace_file
from climkit_pipeline.lake.layout import EMPTY_PARTITION, Layout
from climkit_pipeline.lake.schemas import DATASETS, JOURNALS

WRITE_OPTIONS = {
    # Oldest format that holds what we write, for tools that bundle an older DuckDB.
    "storage_compatibility_version": "v1.0.0",
    # DuckDB 2.0 re-uses metadata blocks in a way that 1.1 cannot always read: 12 of 80 files written by small changes
    # were refused ("Failed to load metadata pointer"), none of 80 without it (November 2026).
    "experimental_metadata_reuse": "false",
}
"""How every file is written; the dbt profile states the same (a test compares)."""

LAKE_FILES = ("data.parquet", "coverage.parquet")
LAKE_FOLDERS = (*DATASETS, *(journal.name for journal in JOURNALS))

_STATE_SCHEMA = {
    "dataset": pl.String,
    "local_date": pl.Date,
    "file_name": pl.String,
    "size_bytes": pl.Int64,
    "modified_ns": pl.Int64,
}

_CREATE = """
create schema if not exists pipeline;
create table if not exists pipeline.lake_state (
    dataset varchar not null, local_date date not null, file_name varchar not null,
    size_bytes bigint not null, modified_ns bigint not null
);
create table if not exists pipeline.changed_days (
    dataset varchar not null, local_date date not null,
    is_data_changed boolean not null, is_coverage_changed boolean not null
);
create table if not exists pipeline.settings (
    close_after_days integer not null, default_timezone varchar not null, pipeline_version varchar not null,
    inputs_digest varchar not null
);
create table if not exists pipeline.changed_inputs (table_name varchar not null);
create table if not exists pipeline.followed (as_of_utc date);
create table if not exists pipeline.built_with (
    build_id varchar not null, models varchar not null,
    close_after_days integer not null, default_timezone varchar not null, pipeline_version varchar not null,
    inputs_digest varchar not null
);
"""

_CHANGES = """
with differing as (
    select coalesce(scanned.dataset, known.dataset) as dataset,
        coalesce(scanned.local_date, known.local_date) as local_date,
        coalesce(scanned.file_name, known.file_name) as file_name
    from scanned
    full join known using (dataset, local_date, file_name)
    where scanned.size_bytes is distinct from known.size_bytes
        or scanned.modified_ns is distinct from known.modified_ns
)
select dataset, local_date,
    bool_or(file_name = 'data.parquet') as is_data_changed,
    bool_or(file_name = 'coverage.parquet') as is_coverage_changed
from differing
group by dataset, local_date
"""

_FILES = """
create or replace view pipeline.{name} as
select * rename (day as {day})
from read_parquet({paths}, hive_partitioning = true, hive_types = {{'day': date}}{more})
"""


@dataclass(frozen=True)
class LakeScan:
    """The files of the lake at one moment."""

    lake: Path
    """The folder they lie in."""
    files: pl.DataFrame
    """One row per file: dataset, local_date, file_name, size_bytes, modified_ns."""

    def is_same(self, other: LakeScan) -> bool:
        """Whether no file differs."""
        return self.files.sort(pl.all()).equals(other.files.sort(pl.all()))


@dataclass(frozen=True)
class ModelSettings:
    """What the models need to know beside the lake."""

    close_after_days: int
    default_timezone: str
    pipeline_version: str


@dataclass(frozen=True)
class PipelineInputs:
    """What the models read beside the lake and the settings: the user's files, and the months that are closed."""

    tables: dict[str, pl.DataFrame] = field(default_factory=dict)
    """By the name that a table has in schema ``pipeline``."""
    read_closed: Callable[[], dict[str, pl.DataFrame]] = dict
    """More tables, which cost seconds once years are closed: read only if ``digest`` is a new one."""
    user_digest: str = ""
    """A hash of what the user's files say."""
    closed_digest: str = ""
    """A hash of which versions of closed months there are."""

    @property
    def digest(self) -> str:
        """What tells these inputs from others."""
        return f"{self.user_digest} {self.closed_digest}"


@dataclass(frozen=True)
class LakeChanges:
    """What a refresh has to follow."""

    days: dict[str, list[date]]
    """Changed local days by dataset, ascending; datasets without changes are left out."""
    files: dict[str, frozenset[date]]
    """The same by table of schema ``pipeline``: ``<dataset>`` for its rows, ``<dataset>_coverage``."""
    full_refresh: bool
    """Whether the models must build everything anew: nothing was built yet, or the models themselves changed."""
    inputs: frozenset[str] = frozenset()
    """The tables of schema ``pipeline`` that say something else than when the models last succeeded: the settings, the
    user's files, closed months."""
    as_of_before: date | None = None
    """The day (UTC) on which data were last asked for when the models last succeeded."""
    close_after_days: int = 0
    bytes_per_day: float = 0.0
    """How much the lake holds of a local day, all datasets together, on average."""

    @property
    def is_empty(self) -> bool:
        """Whether the models would give what they already gave."""
        return not (self.days or self.full_refresh or self.inputs)

    @property
    def series_days(self) -> set[date]:
        """Changed local days of any dataset; the journals have days of their own."""
        return {day for dataset, days in self.days.items() if dataset in DATASETS for day in days}

    def __str__(self) -> str:
        if self.full_refresh:
            return "everything is built anew"
        if not self.days:
            return "the settings or inputs changed" if self.inputs else "nothing changed"
        return ", ".join(f"{dataset}: {len(days)} days" for dataset, days in self.days.items())


@contextmanager
def open_build_file(build_file: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """The build file, created if it is not there, open for writing; raises WarehouseError if another process has it."""
    build_file.parent.mkdir(parents=True, exist_ok=True)
    try:
        connection = duckdb.connect(build_file, config=dict(WRITE_OPTIONS))
    except (duckdb.IOException, duckdb.ConnectionException) as error:
        reason = str(error).partition("\n")[0]
        raise WarehouseError(f"the build file cannot be opened ({reason})") from error
    try:
        connection.execute("set timezone = 'UTC'")
        # DuckDB would draw one into whatever a command prints.
        connection.execute("set enable_progress_bar = false")
        yield connection
    finally:
        connection.close()


def scan_lake(layout: Layout) -> LakeScan:
    """Every data and coverage file of every dataset, journal and day, without opening any."""
    rows = [row for folder in LAKE_FOLDERS for row in _scan_dataset(folder, layout.dataset(folder))]
    return LakeScan(layout.lake, pl.DataFrame(rows, schema=_STATE_SCHEMA, orient="row"))


def _scan_dataset(dataset: str, folder: Path) -> Iterator[tuple[str, date, str, int, int]]:
    try:
        days = list(os.scandir(folder))
    except FileNotFoundError:
        return
    for entry in days:
        try:
            day = date.fromisoformat(entry.name.removeprefix("day="))
        except ValueError:  # the empty partition, or something that is no partition
            continue
        for name in LAKE_FILES:
            with suppress(FileNotFoundError, NotADirectoryError):
                status = os.stat(f"{entry.path}/{name}")  # noqa: PTH116 - a Path per file doubles the time of a scan
                yield dataset, day, name, status.st_size, status.st_mtime_ns


def is_built_with(build_file: Path, models_version: str) -> bool:
    """Whether all tables of the build file come from this version of the models."""
    if not build_file.exists():
        return False
    with open_build_file(build_file) as connection:
        connection.execute(_CREATE)
        return connection.execute("select models from pipeline.built_with").fetchall() == [(models_version,)]


def fresh_build_file(layout: Layout) -> Path:
    """The path of a build file to begin anew in; what an earlier attempt left there is removed."""
    folder = layout.build / "new"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder / layout.build_file.name


def adopt_build_file(layout: Layout, build_file: Path) -> None:
    """Put a build file that was begun anew, and whose models all succeeded, in the place of the old one."""
    # First, because a log must never meet a file that it does not belong to.
    layout.build_file.with_name(f"{layout.build_file.name}.wal").unlink(missing_ok=True)
    replace_file(build_file, layout.build_file)
    shutil.rmtree(build_file.parent, ignore_errors=True)


def prepare(
    build_file: Path,
    scan: LakeScan,
    settings: ModelSettings,
    inputs: PipelineInputs = PipelineInputs(),
    *,
    models_version: str,
) -> LakeChanges:
    """Write ``changed_days``, ``settings`` and the inputs for the models, and say what changed.

    ``models_version`` names the SQL that is about to run (``warehouse.project.models_version``). In a file that is new,
    or was built by another SQL, every day counts as changed. The models see the files of changed days only: to find the
    few among all of them costs more every year.
    """
    with open_build_file(build_file) as connection:
        connection.execute(_CREATE)
        built_with = connection.execute("select * exclude (build_id) from pipeline.built_with").fetchall()
        full_refresh = [row[0] for row in built_with] != [models_version]
        connection.register("scanned", scan.files)
        connection.execute("create temp table known as from pipeline.lake_state where not ?", [full_refresh])
        new_settings = (
            settings.close_after_days,
            settings.default_timezone,
            settings.pipeline_version,
            inputs.digest,
        )
        is_known = connection.execute("select inputs_digest from pipeline.settings").fetchall() == [(inputs.digest,)]
        tables = inputs.tables if is_known else inputs.tables | inputs.read_closed()
        connection.execute("begin")
        connection.execute("delete from pipeline.changed_days")
        connection.execute(f"insert into pipeline.changed_days {_CHANGES}")
        _offer_files(connection, scan.lake, is_all=full_refresh)
        connection.execute("delete from pipeline.settings")
        connection.execute("insert into pipeline.settings values (?, ?, ?, ?)", new_settings)
        if [row[1:4] for row in built_with] != [new_settings[:3]]:
            _note_changed(connection, "settings")
        for name, frame in tables.items():
            _state_input(connection, name, frame)
        connection.execute("commit")
        changed = connection.execute("from pipeline.changed_days").fetchall()
        changed_inputs = frozenset(row[0] for row in connection.execute("from pipeline.changed_inputs").fetchall())
        [(as_of,)] = connection.execute("select max(as_of_utc) from pipeline.followed").fetchall()
    files: dict[str, set[date]] = {}
    for dataset, day, is_data_changed, is_coverage_changed in changed:
        for name, is_changed in ((dataset, is_data_changed), (f"{dataset}_coverage", is_coverage_changed)):
            if is_changed:
                files.setdefault(name, set()).add(day)
    return LakeChanges(
        days={
            dataset: sorted({row[1] for row in changed if row[0] == dataset})
            for dataset in LAKE_FOLDERS
            if any(row[0] == dataset for row in changed)
        },
        files={name: frozenset(days) for name, days in files.items()},
        full_refresh=full_refresh,
        inputs=changed_inputs,
        as_of_before=as_of,
        close_after_days=settings.close_after_days,
        bytes_per_day=int(scan.files["size_bytes"].sum()) / max(1, scan.files["local_date"].n_unique()),
    )


def _state_input(connection: duckdb.DuckDBPyConnection, name: str, frame: pl.DataFrame) -> None:
    """Write a table that the models read, and note whether it says something else than before."""
    connection.register("given", frame)
    known = connection.execute(
        "select count(*) from duckdb_tables() where schema_name = 'pipeline' and table_name = ?", [name]
    ).fetchall()
    if known == [(1,)]:
        is_same = (
            connection.execute(f"describe pipeline.{name}").fetchall()
            == connection.execute("describe given").fetchall()
            and not connection.execute(
                f"""(from pipeline.{name} except all from given)
            union all (from given except all from pipeline.{name}) limit 1"""
            ).fetchall()
        )
        if is_same:
            return
    connection.execute(f"create or replace table pipeline.{name} as from given")
    _note_changed(connection, name)


def _note_changed(connection: duckdb.DuckDBPyConnection, name: str) -> None:
    """Until the models have succeeded, also if a refresh that did not is repeated."""
    connection.execute(
        "insert into pipeline.changed_inputs select ? where ? not in (from pipeline.changed_inputs)", [name, name]
    )


def _offer_files(connection: duckdb.DuckDBPyConnection, lake: Path, *, is_all: bool) -> None:
    """Let the views ``<dataset>`` and ``<dataset>_coverage`` show the changed days, or all days.

    Of a day on which one dataset changed, the files of all datasets: models join them.
    """
    found = connection.execute(
        """select dataset, file_name, list(local_date order by local_date) from scanned
        where local_date in (select local_date from pipeline.changed_days) group by all"""
    ).fetchall()
    changed = {(dataset, file_name): days for dataset, file_name, days in found}
    for folder in LAKE_FOLDERS:
        for file_name in LAKE_FILES if folder in DATASETS else LAKE_FILES[:1]:
            days = ["*"] if is_all else [f"day={day}" for day in changed.get((folder, file_name), [])]
            # The file without rows comes first: it states the columns, and there is always one.
            paths = [_as_literal(lake, f"{folder}/{day}/{file_name}") for day in (EMPTY_PARTITION, *days)]
            name = folder if file_name == LAKE_FILES[0] else f"{folder}_coverage"
            day = "local_date" if folder in DATASETS else "utc_date"
            # Older files of a journal may be from before one of its columns.
            more = "" if folder in DATASETS else ", union_by_name = true"
            connection.execute(_FILES.format(name=name, day=day, paths=f"[{', '.join(paths)}]", more=more))


def _as_literal(lake: Path, pattern: str) -> str:
    """A pattern of files in the lake, whose own path may hold what means something in a pattern or in SQL."""
    escaped = re.sub(r"([\[*?])", r"[\1]", str(lake))
    return "'" + f"{escaped}/{pattern}".replace("'", "''") + "'"


def advance(build_file: Path, scan: LakeScan, *, models_version: str) -> None:
    """Remember that the models have followed the lake up to ``scan``; call it only after all of them succeeded."""
    with open_build_file(build_file) as connection:
        connection.register("scanned", scan.files)
        connection.execute("begin")
        connection.execute("delete from pipeline.lake_state")
        connection.execute("insert into pipeline.lake_state select * from scanned")
        connection.execute("delete from pipeline.changed_days")
        connection.execute("delete from pipeline.changed_inputs")
        connection.execute(
            """create or replace table pipeline.followed as
            select as_of_utc::date as as_of_utc from main.billing_settings"""
        )
        connection.execute("delete from pipeline.built_with")
        connection.execute(
            "insert into pipeline.built_with select ?, ?, * from pipeline.settings", [uuid.uuid4().hex, models_version]
        )
        connection.execute("commit")
