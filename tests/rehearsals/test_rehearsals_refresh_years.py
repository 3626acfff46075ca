"""The lakes of the benchmark are lakes, and its verdict is the ratio of the lowest figures."""

from __future__ import annotations

from datetime import date, timedelta

import polars as pl
import pytest
from refresh_years import LOOKBACK_DAYS, REVISED_DAYS_AGO, LongLake, Timed, as_markdown, meters_of, ratio_of

from climkit_pipeline.lake.layout import Layout
from climkit_pipeline.lake.parquet import read_parquet
from climkit_pipeline.lake.schemas import COVERAGE_SCHEMA, DATASETS

CHANGE_DAY = date(2026, 3, 29)
LAST_DAY = CHANGE_DAY + timedelta(days=3)
NEW_DAY = LAST_DAY + timedelta(days=1)


@pytest.fixture
def lake(tmp_path) -> LongLake:
    lake = LongLake(Layout(tmp_path), meters_of(4))
    lake.write(LAST_DAY - timedelta(days=LOOKBACK_DAYS), LAST_DAY)
    return lake


def rows_of(lake: LongLake, dataset: str, day: date) -> pl.DataFrame:
    return read_parquet(lake.layout.data_file(dataset, day), DATASETS[dataset].schema)


def test_each_day_has_its_quarter_hours_and_its_coverage(lake):
    for day, quarter_hours in ((CHANGE_DAY, 92), (LAST_DAY, 96)):
        for dataset, series in (("meter_intervals", 4), ("meter_indices", 4), ("site_intervals", 1)):
            assert rows_of(lake, dataset, day).height == series * quarter_hours
            assert read_parquet(lake.layout.coverage_file(dataset, day), COVERAGE_SCHEMA).height == series


def test_a_new_day_goes_on_where_the_registers_stood_and_revises_one_value(lake):
    at_end = pl.col("read_at_utc") == pl.col("read_at_utc").max()
    before = rows_of(lake, "meter_indices", LAST_DAY).filter(at_end).sort("meter_id")
    lake.live_a_day(NEW_DAY)
    after = rows_of(lake, "meter_indices", NEW_DAY).filter(at_end).sort("meter_id")
    stated = rows_of(lake, "meter_intervals", NEW_DAY).group_by("meter_id").agg(pl.col("total").sum()).sort("meter_id")
    for register, meters in (
        ("index_import_kwh", ["m00", "m03"]),
        ("index_export_kwh", ["m01"]),
        ("volume_m3", ["m02"]),
    ):
        chosen = pl.col("meter_id").is_in(meters)
        counted = after.filter(chosen)[register] - before.filter(chosen)[register]
        assert counted.round(3).to_list() == stated.filter(chosen)["total"].round(3).to_list()
    revised = rows_of(lake, "meter_intervals", NEW_DAY - timedelta(days=REVISED_DAYS_AGO))
    assert revised.height == 4 * 96 + 1
    assert revised.filter(pl.col("superseded_at_utc").is_not_null())["meter_id"].to_list() == ["m03"]


def test_the_verdict_is_the_ratio_of_the_lowest_figures():
    timed = {
        years: Timed(
            wall=cpu, cpu=cpu, written=[10], copied=[0.5], size=10**6,
            nodes=[{"model a": seconds, "test b": 0.01} for seconds in cpu],
        )
        for years, cpu in ((1, [4.0, 9.0]), (10, [9.0, 6.0]))
    }  # fmt: skip
    assert ratio_of(timed) == 1.5
    table = as_markdown(timed, meters=4, days=2, shown_from=0.1)
    assert "| `model a` | 4.00 s | 6.00 s | 1.50 |" in table
    assert "test b" not in table
