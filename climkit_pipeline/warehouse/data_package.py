"""The views for people as a folder of Parquet files that explain themselves: a Frictionless Data Package.

Each file has the comments of its columns in itself, as key ``description`` of the field's metadata and of the table's;
``datapackage.json`` beside them says the same to programs (https://datapackage.org), with types, keys, sizes and
hashes. Rows are written in pieces, so memory does not grow with the years.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from climkit_pipeline.errors import QueryError, WarehouseError
from climkit_pipeline.files import atomic_file
from climkit_pipeline.warehouse.project import load_project
from climkit_pipeline.warehouse.queries import open_warehouse

ROWS_AT_ONCE = 200_000

_DAYS = (
    "select min(local_date), max(local_date) from coverage_days where dataset in ('meter_intervals', 'site_intervals')"
)
"""Of series: the day before the first one is asked for readings alone, and lists are of today."""

FIELD_TYPES: Mapping[str, str] = {
    "VARCHAR": "string",
    "DATE": "date",
    "TIMESTAMP": "datetime",
    "TIMESTAMP WITH TIME ZONE": "datetime",
    "BOOLEAN": "boolean",
    "INTEGER": "integer",
    "BIGINT": "integer",
    "DOUBLE": "number",
    "DECIMAL": "number",
}
"""The types of Frictionless tables by DuckDB's; what is not here is ``any``."""


@dataclass(frozen=True)
class WrittenTable:
    """One Parquet file of a package."""

    name: str
    rows: int
    size_bytes: int


def write_data_package(
    warehouse: Path, folder: Path, *, tables: Sequence[str] = (), since: date | None = None
) -> list[WrittenTable]:
    """Write ``tables`` (the views for people, if none are named) and ``datapackage.json`` to a folder.

    ``since`` leaves out earlier local days and months, where a table has such a column. Raises QueryError for a table
    that nobody published, WarehouseError if there is no data yet or the folder cannot be written.
    """
    models = {name: model for name, model in load_project().models.items() if model.is_published}
    wanted = list(tables) or [name for name, model in models.items() if model.folder == "analysis"]
    if unknown := [name for name in wanted if name not in models]:
        raise QueryError(f"there is no table {unknown[0]!r}; accepted: {', '.join(sorted(models))}")
    written, resources = [], []
    with open_warehouse(warehouse) as connection:
        stated = dict(connection.execute("from about").fetchall())
        days = connection.execute(_DAYS).fetchone()
        try:
            folder.mkdir(parents=True, exist_ok=True)
            for name in wanted:
                table, resource = _write_table(connection, name, folder, since)
                written.append(table)
                resources.append(resource)
            with atomic_file(folder / "datapackage.json") as temporary:
                package = _package(stated, days or (None, None), resources)
                temporary.write_text(json.dumps(package, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        except OSError as error:
            raise WarehouseError(f"{folder} cannot be written: {error.strerror or error}") from error
    return written


def _write_table(
    connection: duckdb.DuckDBPyConnection, name: str, folder: Path, since: date | None
) -> tuple[WrittenTable, dict[str, Any]]:
    model = load_project().models[name]
    try:
        types = {row[0]: row[1] for row in connection.execute(f"describe {model.relation}").fetchall()}
        dated = next((column for column in ("local_date", "billing_month") if column in types), None)
        rows_of = connection.sql(f"from {model.relation}")
        if dated and since:
            rows_of = rows_of.filter(f"{dated} >= date '{since}'")
        reader = rows_of.to_arrow_reader(ROWS_AT_ONCE)
        described = pa.schema(
            [field.with_metadata({"description": model.columns[field.name]}) for field in reader.schema],
            metadata={"description": model.description},
        )
        path, rows = folder / f"{name}.parquet", 0
        with atomic_file(path) as temporary, pq.ParquetWriter(temporary, described, compression="zstd") as writer:
            for batch in reader:
                rows += batch.num_rows
                writer.write_batch(batch.cast(described))
    except duckdb.Error as error:
        raise QueryError(
            f"{name} cannot be read ({str(error).partition(chr(10))[0]}); `climkit refresh` may help"
        ) from error
    size = path.stat().st_size
    fields = [
        {"name": column, "type": FIELD_TYPES.get(kind.partition("(")[0], "any"), "description": model.columns[column]}
        for column, kind in types.items()
    ]
    resource = {
        "name": name,
        "path": path.name,
        "title": _title(model.description),
        "description": model.description,
        "format": "parquet",
        "mediatype": "application/vnd.apache.parquet",
        "bytes": size,
        "hash": f"sha256:{_sha256(path)}",
        "schema": {"fields": fields, **_key(name)},
    }
    return WrittenTable(name, rows, size), resource


def _package(
    stated: Mapping[str, str | None], days: tuple[Any, ...], resources: list[dict[str, Any]]
) -> dict[str, Any]:
    first, last = days
    return {
        "name": "climkit-warehouse",
        "title": "Metering of buildings: flows, days, months and bills",
        "description": (
            f"Days {first} to {last} of {stated.get('sites')} sites and "
            f"{stated.get('meters')} meters. Load curves of flats are personal data."
        ),
        "created": stated.get("published_at_utc"),
        "resources": resources,
    }


def _key(name: str) -> dict[str, list[str]]:
    """The columns that tell rows apart, by the data test of the model; nothing where none states them."""
    for test in load_project().tests:
        if (
            test.model == name
            and test.name.startswith("unique_key")
            and (found := re.search(r"group by (.+)", test.sql))
        ):
            return {"primaryKey": [column.strip() for column in found[1].split(",")]}
    return {}


def _title(description: str) -> str:
    """The grain, which every description begins with."""
    return description.partition(". ")[0]


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
