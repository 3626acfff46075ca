"""One Parquet file of the lake: read whole, or replaced in one step."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import polars as pl

from climkit_pipeline.errors import LakeError
from climkit_pipeline.files import atomic_file

COMPRESSION_LEVEL = 3


def read_parquet(path: Path, schema: Mapping[str, pl.DataType | type[pl.DataType]]) -> pl.DataFrame:
    """The columns of ``schema``; no row if there is no file. Raises LakeError for an unreadable file."""
    try:
        # The hive folder holds the day; the file itself must hold exactly the dataset's columns. A user's directory
        # may hold brackets, which are no pattern here.
        return pl.read_parquet(path, glob=False, hive_partitioning=False, columns=list(schema))
    except FileNotFoundError:
        return pl.DataFrame(schema=dict(schema))
    except (OSError, pl.exceptions.PolarsError) as error:
        raise LakeError(
            f"{path} cannot be read ({type(error).__name__}): restore it from a backup, or remove it"
        ) from error


def write_parquet(path: Path, frame: pl.DataFrame) -> None:
    """Replace a file of the lake in one step. Raises LakeError if that fails; the old file stays then."""
    try:
        with atomic_file(path) as temporary:
            frame.write_parquet(temporary, compression="zstd", compression_level=COMPRESSION_LEVEL, statistics=True)
    except OSError as error:
        raise LakeError(f"{path} cannot be written: {error.strerror or error}") from error
