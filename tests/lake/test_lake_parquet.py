"""Files that are written, and read, in a row: none is encoded twice for nothing, and each row is of its own file."""

from __future__ import annotations

import tempfile
from datetime import date, timedelta
from pathlib import Path

import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from climkit_pipeline.lake.parquet import SeriesOfFiles, read_parquets, write_parquet

SCHEMA = {"site_id": pl.String, "value": pl.Float64}
LAW = settings(max_examples=40, deadline=None)
"""Files are written, which costs most of an example."""
ROWS = st.lists(st.tuples(st.sampled_from(["a", "b"]), st.sampled_from([None, 0.0, 1.5])), max_size=2)


@LAW
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


ODD_FOLDERS = ["plain", "o'clock [100%] {x}", "day=1999-01-01", "Zähler *?#&", "a%20b"]
"""Signs that mean something in a file pattern or an address, and what looks like a partition."""


@LAW
@given(st.sampled_from(ODD_FOLDERS), st.lists(st.none() | ROWS, max_size=5), st.sampled_from([None, "a"]))
def test_rows_of_many_days_are_each_of_the_day_of_their_file(folder, contents, site):
    """Days without a file and files without rows among them; the order is that of the days that were asked for."""
    with tempfile.TemporaryDirectory() as root:
        days = [date(2026, 3, 31) - timedelta(days=number) for number in range(len(contents))]
        paths = {day: Path(root) / folder / f"day={day}" / "data.parquet" for day in days}
        for day, rows in zip(days, contents, strict=True):
            if rows is not None:
                write_parquet(paths[day], pl.DataFrame(rows, schema=SCHEMA, orient="row"))
        found = read_parquets(paths, SCHEMA, None if site is None else pl.col("site_id") == site)
        expected = [
            (day, *row)
            for day, rows in zip(days, contents, strict=True)
            for row in rows or ()
            if site is None or row[0] == site
        ]
        assert found.rows() == expected
        assert dict(found.schema) == {"local_date": pl.Date, **SCHEMA}
