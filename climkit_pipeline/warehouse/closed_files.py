"""The frozen months in ``closed/``: one file per site, month and version, written once and never again.

Here: names, writing and reading. Not here: when a month may be frozen (``warehouse.closing``), and what the models
make of it (``billing_closings`` and what follows from it).

::

    closed/site=<site>/month=2026-10/v0001.parquet   the rows of billing_monthly as they were; in the file's key-value
                                                     metadata, under ``climkit``, everything else about the version
    closed/corrections_seen.parquet                  when each correction was first seen, where no reading tells

A reopening is a version without rows: what was closed stays, and the files tell the whole history. Each file names,
with its hash, the file of its site that was the last before it: so a file that is removed or replaced is missed by the
one that came after it, and by the published warehouse, which knows all of them.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal

import polars as pl

from climkit_pipeline.errors import LakeError, WarehouseError
from climkit_pipeline.files import atomic_file, sync_directory
from climkit_pipeline.installation import PROJECT_DIR
from climkit_pipeline.lake.layout import Layout
from climkit_pipeline.warehouse.queries import run_query

Kind = Literal["close", "settle", "reopen"]

INSTANT = pl.Datetime("us", "UTC")
QUANTITY = pl.Decimal(18, 6)
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
LINE_SCHEMA: dict[str, pl.DataType | type[pl.DataType]] = {
    "billing_point": pl.String,
    "occupant": pl.String,
    "is_vacant": pl.Boolean,
    "line_from": pl.Date,
    "line_until": pl.Date,
    "total": QUANTITY,
    "solar": QUANTITY,
    "grid": QUANTITY,
    "billable_total": QUANTITY,
    "billable_solar": QUANTITY,
    "billable_grid": QUANTITY,
    "index_start": QUANTITY,
    "index_end": QUANTITY,
    "grade": pl.String,
    "reasons": pl.List(pl.String),
}
"""What is frozen of a line of billing_lines_monthly, with the meter that measured it."""
ROWS_SCHEMA: dict[str, pl.DataType | type[pl.DataType]] = {
    "site_id": pl.String,
    "billing_month": pl.Date,
    "version": pl.Int32,
    "meter_id": pl.String,
    "meter_name": pl.String,
    "meter_type": pl.String,
    "total": QUANTITY,
    "solar": QUANTITY,
    "grid": QUANTITY,
    "inputs_hash": pl.String,
    "was_excluded": pl.Boolean,
    "lines": pl.List(pl.Struct(LINE_SCHEMA)),
}
"""The least that ``pipeline.closed_rows`` holds; every quantity of an invoice, and whatever else was frozen, come on
top."""
QUANTITIES_FILE = PROJECT_DIR / "seeds" / "invoiced_quantities.csv"
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
    """When the API was last asked about the site, of all that the rows were computed from."""
    lake_state: str
    """A hash of the lake's files (names, sizes, times) that the rows were computed from."""
    inputs_digest: str
    """A hash of the user's own inputs then."""
    pipeline_version: str
    models_version: str
    frozen_columns: tuple[str, ...]
    """The columns of billing_monthly then; later versions of the models may have more."""
    user_files: Mapping[str, str] = field(default_factory=dict)
    """What the user's files said then, by name; nothing in versions from before they were kept."""
    follows: tuple[str, ...] = ()
    """The site's files that no other follows, as ``sha256sum`` writes them: hash, two spaces, path in ``closed/``.

    Nothing in the first file, and in those from before there was such a chain."""

    @property
    def is_closed(self) -> bool:
        """Whether the month is closed after this."""
        return self.kind != "reopen"


def month_folder(layout: Layout, site_id: str, month: date) -> Path:
    """Where the versions of a site's month lie; ids are data, and may hold anything."""
    return _site_folder(layout, site_id) / f"month={month:%Y-%m}"


def _site_folder(layout: Layout, site_id: str) -> Path:
    is_plain = re.fullmatch(r"[a-z0-9_-]{1,64}", site_id)
    name = site_id if is_plain else f"~{hashlib.sha256(site_id.encode()).hexdigest()[:32]}"
    return layout.closed / f"site={name}"


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
                "follows": tuple(values.get("follows", ())),
            }
        )
    except (OSError, ValueError, KeyError, TypeError, pl.exceptions.PolarsError) as error:
        raise LakeError(f"{path} is no frozen month that can be read: restore it from a backup") from error


def version_file(layout: Layout, version: Version) -> Path:
    """The file of one version."""
    return _month_file(layout, version.site_id, version.billing_month, version.version)


def _month_file(layout: Layout, site_id: str, month: date, number: int) -> Path:
    return month_folder(layout, site_id, month) / f"v{number:04}.parquet"


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
        version = replace(version, follows=tuple(_ends(layout, version.site_id)))
        metadata = json.dumps({each.name: getattr(version, each.name) for each in fields(version)}, default=_plain)
        with atomic_file(path) as temporary:
            rows.write_parquet(temporary, metadata={METADATA_KEY: metadata})
            temporary.chmod(0o400)
    except OSError as error:
        raise LakeError(f"{path} cannot be written: {error.strerror or error}") from error
    return path


def _ends(layout: Layout, site_id: str) -> Iterator[str]:
    """A site's files that no other follows: one, or all those from before there was a chain."""
    paths = sorted(_site_folder(layout, site_id).rglob("v*.parquet"))
    lines = {_line(layout, path): _read_version(path) for path in paths}
    followed = {line for version in lines.values() for line in version.follows}
    return (line for line in lines if line not in followed)


def _line(layout: Layout, path: Path) -> str:
    return f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.relative_to(layout.closed)}"


def check_chain(layout: Layout, versions: Sequence[Version]) -> None:
    """Raises LakeError for the first file that is missed by those that came after it, or is another than they name."""
    numbers: dict[tuple[str, date], int] = {}
    for version in versions:
        before = numbers.get((version.site_id, version.billing_month), 0)
        if version.version != before + 1:
            gone = version_file(layout, replace(version, version=before + 1))
            raise LakeError(f"{gone} is gone, and version {version.version} is there: restore it from a backup")
        numbers[version.site_id, version.billing_month] = version.version
    for version in versions:
        for line in version.follows:
            path = layout.closed / line.partition("  ")[2]
            if not path.exists() or _line(layout, path) != line:
                state = "is not what was frozen" if path.exists() else "is gone"
                raise LakeError(f"{path} {state}, says {version_file(layout, version)}: restore it from a backup")


def check_none_is_gone(layout: Layout) -> None:
    """Raises LakeError for the first file of a version that was published and is not there any more."""
    try:
        known = run_query(
            layout.warehouse, "select site_id, billing_month, version from billing_closings order by all"
        ).rows()
    except WarehouseError:  # nothing was published yet, or by a pipeline that closed no months
        return
    for site_id, month, number in known:
        path = _month_file(layout, site_id, month, number)
        if not path.exists():
            raise LakeError(f"{path} is gone, and {layout.warehouse.name} holds it: restore it from a backup")


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
    every_version = read_versions(layout)
    check_chain(layout, every_version)
    versions = [version for version in every_version if (version.site_id, version.billing_month) != without]
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
        "closed_versions": pl.DataFrame(
            [{name: getattr(version, name) for name in VERSIONS_SCHEMA} for version in versions], schema=VERSIONS_SCHEMA
        ),
        "closed_rows": pl.concat([pl.DataFrame(schema=_rows_schema()), *frozen], how="diagonal_relaxed"),
    }


def _rows_schema() -> dict[str, pl.DataType | type[pl.DataType]]:
    """What the models compare, null where a version was frozen without it."""
    quantities = pl.read_csv(QUANTITIES_FILE, columns=["quantity"])["quantity"]
    return ROWS_SCHEMA | {"unit": pl.String, "is_billed": pl.Boolean} | dict.fromkeys(quantities, QUANTITY)


def check_closed(layout: Layout) -> str:
    """How many months and versions there are.

    Raises LakeError for the first file that is gone, or not what was frozen.
    """
    check_none_is_gone(layout)
    versions = read_versions(layout)
    check_chain(layout, versions)
    for version in versions:
        read_rows(layout, version)
    closed = [version for version in latest_by_month(versions).values() if version.is_closed]
    return f"{len(closed)} closed, {len(versions)} versions" if versions else "none yet"


def versions_digest(layout: Layout) -> str:
    """A short hash of which versions there are; a file that somebody touched is another one, and read again."""
    lines = []
    for path in layout.closed.rglob("v*.parquet"):
        status = path.stat()
        lines.append(f"{path.relative_to(layout.closed)} {status.st_size} {status.st_mtime_ns}")
    return hashlib.sha256("\n".join(sorted(lines)).encode()).hexdigest()[:16]


def lines_by_meter(lines: pl.DataFrame) -> pl.DataFrame:
    """``billing_lines_monthly`` of one site and month as one row per meter: meter_id, lines (a list of structures)."""
    line = pl.struct(pl.col(name).cast(kind) for name, kind in LINE_SCHEMA.items())
    return lines.select("meter_id", lines=line).group_by("meter_id", maintain_order=True).all()


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
