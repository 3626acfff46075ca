"""Files that are written in a row: what the last one held is not encoded again, and each holds its own."""

from __future__ import annotations

import tempfile
from pathlib import Path

import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from climkit_pipeline.lake.parquet import SeriesOfFiles

SCHEMA = {"site_id": pl.String, "value": pl.Float64}
ROWS = st.lists(st.tuples(st.sampled_from(["a", "b"]), st.sampled_from([None, 0.0, 1.5])), max_size=2)


@given(st.lists(ROWS, max_size=6))
def test_each_file_of_a_series_holds_its_own_rows(contents):
    """Rows of few kinds, so that neighbours are often equal, or equal but for a null."""
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder) / f"{number}.parquet" for number in range(len(contents))]
        series = SeriesOfFiles()
        for path, rows in zip(paths, contents, strict=True):
            series.write(path, pl.DataFrame(rows, schema=SCHEMA, orient="row"))
        assert [pl.read_parquet(path).rows() for path in paths] == contents
        assert all(dict(pl.read_parquet_schema(path)) == SCHEMA for path in paths)
