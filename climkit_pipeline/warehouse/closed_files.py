"""The frozen months in ``closed/``: one file per site, month and version, written once and never again.

Here: names, writing and reading. Not here: when a month may be frozen (``warehouse.closing``), and what the models
make of it (``billing_closings`` and what follows from it).

::

    closed/site=<site>/month=2026-10/v0001.parquet   the rows of billing_monthly as they were; in the file's key-value
                                                     metadata, under ``climkit``, everything else about the version
    closed/corrections_seen.parquet                  when each correction was first seen, where no reading tells

A reopening is a version without rows: what was closed stays, and the files tell the whole history.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal

import polars as pl

from climkit_pipeline.errors import LakeError
from climkit_pipeline.files import atomic_file, sync_directory
from climkit_pipeline.lake.layout import Layout

Kind = Literal["close", "settle", "reopen"]

INSTANT = pl.Datetime("us", "UTC")
METADATA_KEY = "climkit"

VERSIONS_SCHEMA: dict[str, pl.DataType | type[pl.DataType]] = {
    "site_id": pl.String,
    "billing_month": pl.Date,
    "version": pl.Int32,
    "kind": pl.String,
    "closed_at_utc": INSTANT,
    "closed_by": pl.String,
    "reason": pl.String,
    "meters": pl.Int32,
    "content_hash": pl.String,
    "lake_as_of_utc": INSTANT,
    "lake_state": pl.String,
    "inputs_digest": pl.String,
    "pipeline_version": pl.String,
    "models_version": pl.String,
    "frozen_columns": pl.List(pl.String),
}
ROWS_SCHEMA: dict[str, pl.DataType | type[pl.DataType]] = {
    "site_id": pl.String,
    "billing_month": pl.Date,
    "version": pl.Int32,
    "meter_id": pl.String,
    "total": pl.Decimal(18, 6),
    "solar": pl.Decimal(18, 6),
    "grid": pl.Decimal(18, 6),
    "inputs_hash": pl.String,
    "was_excluded": pl.Boolean,
}
"""The least that ``pipeline.closed_rows`` holds; whatever was frozen comes on top."""
SEEN_SCHEMA: dict[str, pl.DataType | type[pl.DataType]] = {
    "site_id": pl.String,
    "billing_month": pl.Date,
    "version": pl.Int32,
    "meter_id": pl.String,
    "quantity": pl.String,
    "first_seen_at_utc": INSTANT,
}


@dataclass(frozen=True)
class Version:
    """One version of one site's month: who froze it, when, and from what."""

    site_id: str
    billing_month: date
    version: int
    kind: Kind
    closed_at_utc: datetime
    closed_by: str
    reason: str | None
    meters: int
    content_hash: str
    """Of the rows, see ``content_hash``."""
    lake_as_of_utc: datetime
    """When the API was last asked, of all that the rows were computed from."""
    lake_state: str
    """A hash of the lake's files (names, sizes, times) that the rows were computed from."""
    inputs_digest: str
    """A hash of the user's own inputs then."""
    pipeline_version: str
    models_version: str
    frozen_columns: tuple[str, ...]
    """The columns of billing_monthly then; later versions of the models may have more."""

    @property
    def is_closed(self) -> bool:
        """Whether the month is closed after this."""
        return self.kind != "reopen"


def month_folder(layout: Layout, site_id: str, month: date) -> Path:
    """Where the versions of a site's month lie; ids are data, and may hold anything."""
    is_plain = re.fullmatch(r"[a-z0-9_-]{1,64}", site_id)
    name = site_id if is_plain else f"~{hashlib.sha256(site_id.encode()).hexdigest()[:32]}"
    return layout.closed / f"site={name}" / f"month={month:%Y-%m}"


def read_versions(layout: Layout, site_id: str | None = None, month: date | None = None) -> list[Version]:
    """Every version (of one site's month), by site, month and number. Raises LakeError for a file that is damaged."""
    folder = month_folder(layout, site_id, month) if site_id is not None and month is not None else layout.closed
    found = [_read_version(path) for path in folder.rglob("v*.parquet")]
    return sorted(found, key=lambda version: (version.site_id, version.billing_month, version.version))


def _read_version(path: Path) -> Version:
    try:
        values = json.loads(pl.read_parquet_metadata(path)[METADATA_KEY])
        return Version(
            **{
                **values,
                "billing_month": date.fromisoformat(values["billing_month"]),
                "closed_at_utc": datetime.fromisoformat(values["closed_at_utc"]),
                "lake_as_of_utc": datetime.fromisoformat(values["lake_as_of_utc"]),
                "frozen_columns": tuple(values["frozen_columns"]),
            }
        )
    except (OSError, ValueError, KeyError, TypeError, pl.exceptions.PolarsError) as error:
        raise LakeError(f"{path} is no frozen month that can be read: restore it from a backup") from error


def version_file(layout: Layout, version: Version) -> Path:
    """The file of one version."""
    return month_folder(layout, version.site_id, version.billing_month) / f"v{version.version:04}.parquet"


def write_version(layout: Layout, version: Version, rows: pl.DataFrame) -> Path:
    """Freeze the rows; the caller holds the warehouse's lock. Raises LakeError rather than replace a file."""
    path = version_file(layout, version)
    try:
        # Outside in, so that after a power cut no folder is missing on the way to the file.
        for folder in (layout.closed, path.parent.parent, path.parent):
            folder.mkdir(parents=True, exist_ok=True)
            sync_directory(folder.parent)
        if path.exists():
            raise LakeError(f"{path} is frozen and cannot be replaced")
        metadata = json.dumps({field.name: getattr(version, field.name) for field in fields(version)}, default=_plain)
        with atomic_file(path) as temporary:
            rows.write_parquet(temporary, metadata={METADATA_KEY: metadata})
            temporary.chmod(0o400)
    except OSError as error:
        raise LakeError(f"{path} cannot be written: {error.strerror or error}") from error
    return path


def read_rows(layout: Layout, version: Version) -> pl.DataFrame:
    """The frozen rows of one version, by meter. Raises LakeError if they are not what was frozen."""
    path = version_file(layout, version)
    try:
        rows = pl.read_parquet(path)
    except (OSError, pl.exceptions.PolarsError) as error:
        raise LakeError(f"{path} cannot be read: restore it from a backup") from error
    if content_hash(rows) != version.content_hash:
        raise LakeError(f"{path} is not what was frozen: its rows have another hash; restore it from a backup")
    return rows


def closed_tables(layout: Layout, *, without: tuple[str, date] | None = None) -> dict[str, pl.DataFrame]:
    """``closed_versions`` and ``closed_rows`` as the models read them.

    ``without`` names a site and month to leave out, as if it had never been closed.
    """
    versions = [version for version in read_versions(layout) if (version.site_id, version.billing_month) != without]
    frozen = [
        read_rows(layout, version).with_columns(
            site_id=pl.lit(version.site_id),
            billing_month=pl.lit(version.billing_month),
            version=pl.lit(version.version, dtype=pl.Int32),
        )
        for version in versions
        if version.is_closed
    ]
    return {
        "closed_versions": pl.DataFrame([asdict(version) for version in versions], schema=VERSIONS_SCHEMA),
        "closed_rows": pl.concat([pl.DataFrame(schema=ROWS_SCHEMA), *frozen], how="diagonal_relaxed"),
    }


def check_closed(layout: Layout) -> str:
    """How many months and versions there are. Raises LakeError for the first file that is not what was frozen."""
    versions = read_versions(layout)
    for version in versions:
        read_rows(layout, version)
    closed = [version for version in latest_by_month(versions).values() if version.is_closed]
    return f"{len(closed)} closed, {len(versions)} versions" if versions else "none yet"


def versions_digest(layout: Layout) -> str:
    """A short hash of which versions there are; frozen files never change."""
    names = sorted(
        f"{path.relative_to(layout.closed)} {os.stat(path).st_size}"  # noqa: PTH116 - one call per file
        for path in layout.closed.rglob("v*.parquet")
    )
    return hashlib.sha256("\n".join(names).encode()).hexdigest()[:16]


def content_hash(rows: pl.DataFrame) -> str:
    """SHA-256 of the rows by meter, each a JSON object with sorted names; decimals and instants as text."""
    digest = hashlib.sha256()
    for row in rows.sort("meter_id").iter_rows(named=True):
        digest.update(json.dumps(row, sort_keys=True, default=_plain, ensure_ascii=False).encode() + b"\n")
    return digest.hexdigest()


def _plain(value: object) -> Any:  # noqa: ANN401 - what JSON can hold
    if isinstance(value, Decimal):
        return str(value)
    if isinstance(value, date | datetime):
        return value.isoformat()
    raise TypeError(f"{type(value).__name__} has no place in a frozen month")


def read_corrections_seen(layout: Layout) -> pl.DataFrame:
    """When each correction was first seen."""
    path = _corrections_file(layout)
    return pl.read_parquet(path) if path.exists() else pl.DataFrame(schema=SEEN_SCHEMA)


def remember_corrections(layout: Layout, corrections: pl.DataFrame) -> None:
    """Keep when corrections were first seen; what is known stays. The caller holds the warehouse's lock."""
    known = read_corrections_seen(layout)
    key = [name for name in SEEN_SCHEMA if name != "first_seen_at_utc"]
    new = corrections.select(*SEEN_SCHEMA).cast(pl.Schema(SEEN_SCHEMA)).join(known, on=key, how="anti")
    if new.is_empty():
        return
    with atomic_file(_corrections_file(layout)) as temporary:
        pl.concat([known, new]).sort(key).write_parquet(temporary)


def _corrections_file(layout: Layout) -> Path:
    return layout.closed / "corrections_seen.parquet"


def latest_by_month(versions: Sequence[Version]) -> dict[tuple[str, date], Version]:
    """The newest version of each site and month."""
    return {(version.site_id, version.billing_month): version for version in versions}
