"""The published warehouse: what the build file holds for analysts, swapped in in one move.

All of it is a copy of the file, which costs no more than its bytes, or nothing where the file system shares blocks.
With ``publish_months`` it is written anew: a copy out of which rows are deleted stays as large as it was.

Readers keep the file that they have open; whoever opens the path afterwards gets the new one. The build file is never
given away, so no reader can lock it.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import time
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import duckdb

from climkit_pipeline.errors import WarehouseError
from climkit_pipeline.files import replace_file
from climkit_pipeline.lake.layout import Layout
from climkit_pipeline.warehouse.lake_state import open_build_file
from climkit_pipeline.warehouse.project import PUBLISHED_SCHEMAS

DETAIL_TABLES = {
    "meter_intervals_superseded": "meter_intervals",
    "meter_intervals": "meter_intervals",
    "site_intervals": "site_intervals",
    "meter_indices": "meter_indices",
    "sensor_readings": "sensor_readings",
}
"""The tables that ``publish_months`` shortens, and the table whose newest month counts for it."""

_FICLONE = 0x40049409  # Linux: share the blocks of another file, where the file system can
_SPARE_BYTES = 64 * 2**20  # the copy grows a little while the private schemas are dropped


@dataclass(frozen=True)
class PublishReport:
    """What was published."""

    path: Path
    size_bytes: int
    seconds: float
    was_cloned: bool
    """Whether the file system shared the blocks instead of copying them."""

    def __str__(self) -> str:
        return f"{self.path}, {self.size_bytes / 2**20:,.1f} MiB in {self.seconds:.1f} s"


def is_published(layout: Layout, *, publish_months: int | None = None) -> bool:
    """Whether the published file is what the models last built, so that publishing again would change nothing."""
    try:
        note = json.loads(_note(layout).read_text())
        published = layout.warehouse.stat()
    except (FileNotFoundError, ValueError):
        return False
    if not layout.build_file.exists():
        return False
    with open_build_file(layout.build_file) as connection:
        return bool(note == _note_of(_build_id(connection), published, publish_months))


def publish(layout: Layout, *, publish_months: int | None = None) -> PublishReport:
    """Put what the models built in the place where analysts look; the caller holds the warehouse's lock.

    ``publish_months`` keeps that many calendar months of the detail tables (the newest month included); monthly and
    daily tables are always whole. Raises WarehouseError if there is nothing to publish or not enough space; the old
    file stays then, and nothing is left beside it.
    """
    began = time.monotonic()
    if not layout.build_file.exists():
        raise WarehouseError("there is nothing to publish: the models have not been built")
    temporary = layout.build / "publishing.duckdb"  # always the same name: what a killed run left is overwritten
    try:
        with open_build_file(layout.build_file) as connection:
            build_id = _build_id(connection)
            connection.execute("checkpoint")
        if publish_months is None:
            was_cloned = _copy(layout.build_file, temporary)
        else:
            was_cloned = False
            _write(layout.build_file, temporary, publish_months)
        _make_public(temporary)
        replace_file(temporary, layout.warehouse)
    except OSError as error:
        raise WarehouseError(f"the warehouse could not be published: {error}") from error
    except duckdb.Error as error:
        raise WarehouseError(f"the warehouse could not be published: {str(error).partition(chr(10))[0]}") from error
    finally:
        for leftover in (temporary, temporary.with_name(f"{temporary.name}.wal")):
            leftover.unlink(missing_ok=True)
    status = layout.warehouse.stat()
    _note(layout).write_text(json.dumps(_note_of(build_id, status, publish_months)))
    return PublishReport(layout.warehouse, status.st_size, time.monotonic() - began, was_cloned)


def _note(layout: Layout) -> Path:
    return layout.build / "published.json"


def _note_of(
    build_id: str | None, published: os.stat_result, publish_months: int | None
) -> dict[str, str | int | None]:
    return {
        "build_id": build_id,
        "publish_months": publish_months,
        "size_bytes": published.st_size,
        "modified_ns": published.st_mtime_ns,
    }


def _build_id(connection: duckdb.DuckDBPyConnection) -> str | None:
    try:
        row = connection.execute("select build_id from pipeline.built_with").fetchone()
    except duckdb.CatalogException:
        return None
    return str(row[0]) if row else None


def _copy(source: Path, target: Path) -> bool:
    """Copy a file, sharing its blocks where that is possible; whether it was."""
    with source.open("rb") as reading, target.open("wb") as writing, suppress(OSError):
        fcntl.ioctl(writing.fileno(), _FICLONE, reading.fileno())
        return True
    needed = source.stat().st_size + _SPARE_BYTES
    free = shutil.disk_usage(target.parent).free
    if free < needed:
        raise WarehouseError(f"publishing needs {needed / 2**20:,.0f} MiB of free disk, there are {free / 2**20:,.0f}")
    shutil.copyfile(source, target)
    return False


def _write(source: Path, target: Path, publish_months: int) -> None:
    """Write every table for analysts into a new file, the detail tables from the first month on that is wanted."""
    target.unlink(missing_ok=True)
    quoted = "'" + str(source).replace("'", "''") + "'"
    with open_build_file(target) as connection:
        connection.execute(f"attach {quoted} as built (read_only)")
        # Tables without rows, views and functions, all with their comments.
        connection.execute(f"copy from database built to {target.stem} (schema)")
        _drop_inner_schemas(connection)
        tables = connection.execute(
            "select table_name from duckdb_tables() where database_name = current_database() order by table_oid"
        ).fetchall()
        # In one transaction: each by itself would go through the log, and to the disk twice.
        connection.execute("begin")
        for (table,) in tables:
            # By local date, so that no month is cut in the middle.
            newest_in = DETAIL_TABLES.get(table)
            wanted = (
                "true"
                if newest_in is None
                else f"""coalesce(local_date >= (
                    select date_trunc('month', max(local_date)) - to_months({publish_months - 1})
                    from built.main.{newest_in}
                ), true)"""  # noqa: S608 - names from the constant above, and a number
            )
            connection.execute(f"insert into main.{table} from built.main.{table} where {wanted}")
        connection.execute(
            """insert into main.about
            select 'detail_first_day', (date_trunc('month', max(local_date)) - to_months(?))::date::varchar
            from built.main.meter_intervals""",
            [publish_months - 1],
        )
        connection.execute("commit")


def _make_public(path: Path) -> None:
    with open_build_file(path) as connection:
        _drop_inner_schemas(connection)
        published_at = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        connection.execute("insert into main.about values ('published_at_utc', ?)", [published_at])
        connection.execute("checkpoint")


def _drop_inner_schemas(connection: duckdb.DuckDBPyConnection) -> None:
    schemas = connection.execute(
        "select schema_name from duckdb_schemas() where database_name = current_database() and not internal"
    ).fetchall()
    for (schema,) in schemas:
        if schema not in PUBLISHED_SCHEMAS:
            connection.execute(f'drop schema "{schema}" cascade')
