"""One Parquet file of the lake: read whole, or replaced in one step."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from io import BytesIO
from pathlib import Path

import polars as pl

from climkit_pipeline.errors import LakeError
from climkit_pipeline.files import atomic_file

COMPRESSION_LEVEL = 3

Schema = Mapping[str, pl.DataType | type[pl.DataType]]


def read_parquet(path: Path, schema: Schema) -> pl.DataFrame:
    """The columns of ``schema``; no row if there is no file. Raises LakeError for an unreadable file."""
    return _read(path, schema, list(schema))


def _read(path: Path, schema: Schema, columns: list[str] | None) -> pl.DataFrame:
    try:
        # The hive folder holds the day; the file itself must hold exactly the dataset's columns. A user's directory
        # may hold brackets, which are no pattern here.
        return pl.read_parquet(path, glob=False, hive_partitioning=False, columns=columns)
    except FileNotFoundError:
        return pl.DataFrame(schema=dict(schema))
    except (OSError, pl.exceptions.PolarsError) as error:
        raise LakeError(
            f"{path} cannot be read ({type(error).__name__}): restore it from a backup, or remove it"
        ) from error


def columns_of(path: Path) -> list[str]:
    """The names of a file's columns; none of a file that is not there, or cannot be read."""
    try:
        return pl.scan_parquet(path, glob=False, hive_partitioning=False).collect_schema().names()
    except (OSError, pl.exceptions.PolarsError):
        return []


def read_older_parquet(path: Path, schema: Schema) -> pl.DataFrame:
    """As ``read_parquet``, of a file that may be from before some of the columns: they are null then."""
    frame = _read(path, schema, None)
    missing = [pl.lit(None, dtype=kind).alias(name) for name, kind in schema.items() if name not in frame.columns]
    return frame.with_columns(missing).select(list(schema))


def read_parquets(paths: Mapping[date, Path], schema: Schema, only: pl.Expr | None = None) -> pl.DataFrame:
    """The columns of ``schema`` of many days in one scan, after ``local_date``, in the order of ``paths``.

    ``only`` says which rows are wanted, None: all. Days without a file have no row. Raises LakeError for an unreadable
    file.
    """
    there = {day: path for day, path in paths.items() if path.exists()}
    empty = pl.DataFrame(schema={"local_date": pl.Date, **schema})
    if not there:
        return empty
    try:
        return _wanted(_of_days(there, schema), only).collect()
    except (OSError, pl.exceptions.PolarsError):
        # One of many: read one by one, the error names it; or it was removed meanwhile.
        frames = [
            read_parquet(path, schema).lazy().select(pl.lit(day, dtype=pl.Date).alias("local_date"), *schema)
            for day, path in there.items()
        ]
        return _wanted(pl.concat([empty.lazy(), *frames]), only).collect()


def _of_days(paths: Mapping[date, Path], schema: Schema) -> pl.LazyFrame:
    # One scan of many files takes a third of what a scan each takes; the file says which day a row is of.
    rows = pl.scan_parquet(list(paths.values()), glob=False, hive_partitioning=False, include_file_paths="file")
    days = {str(path): day for day, path in paths.items()}
    return rows.select(pl.col("file").replace_strict(days, return_dtype=pl.Date).alias("local_date"), *schema)


def _wanted(rows: pl.LazyFrame, only: pl.Expr | None) -> pl.LazyFrame:
    return rows if only is None else rows.filter(only)


def write_parquet(path: Path, frame: pl.DataFrame) -> None:
    """Replace a file of the lake in one step. Raises LakeError if that fails; the old file stays then."""
    SeriesOfFiles().write(path, frame)


class SeriesOfFiles:
    """Files of one kind that are written one after the other: what the last one holds, too, is not encoded again.

    A site's list of meters is the same file on each of a thousand past days.
    """

    def __init__(self) -> None:
        self._frame: pl.DataFrame | None = None
        self._content = memoryview(b"")

    def write(self, path: Path, frame: pl.DataFrame) -> None:
        """As ``write_parquet``."""
        try:
            if self._frame is None or not frame.equals(self._frame):
                self._content, self._frame = _encoded(frame), frame
            with atomic_file(path) as temporary:
                temporary.write_bytes(self._content)
        except (OSError, pl.exceptions.PolarsError) as error:  # a full disk comes as either
            reason = getattr(error, "strerror", None) or str(error).partition("\n")[0].rpartition(": ")[2]
            raise LakeError(f"{path} cannot be written: {reason}") from error


def _encoded(frame: pl.DataFrame) -> memoryview:
    # By way of memory: for small files the writer's own threads cost more than the writing.
    content = BytesIO()
    frame.write_parquet(content, compression="zstd", compression_level=COMPRESSION_LEVEL, statistics=True)
    return content.getbuffer()
