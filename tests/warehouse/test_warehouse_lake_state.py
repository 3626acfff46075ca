"""Finding out what changed, without opening files."""

from __future__ import annotations

import dataclasses
import os
import time
from datetime import UTC, date, datetime, timedelta

import duckdb
import polars as pl
import pytest
from built_warehouse import SETTINGS
from small_lake import AS_OF

from climkit_pipeline.errors import WarehouseError
from climkit_pipeline.lake.day_files import write_empty_files
from climkit_pipeline.lake.layout import EMPTY_PARTITION, Layout
from climkit_pipeline.lake.schemas import DATASETS
from climkit_pipeline.warehouse.lake_state import (
    PipelineInputs,
    advance,
    fresh_build_file,
    is_built_with,
    open_build_file,
    prepare,
    scan_lake,
)

DAY = date(2026, 10, 5)


@pytest.fixture
def layout(tmp_path):
    layout = Layout(tmp_path)
    write_empty_files(layout)
    return layout


def touch(layout, dataset="meter_intervals", day=DAY, name="data.parquet", content="x"):
    path = layout.day(dataset, day) / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)
    return path


def changed(layout, scan=None, **arguments):
    return prepare(layout.build_file, scan or scan_lake(layout), SETTINGS, models_version="a", **arguments)


def follow(layout, scan):
    """The models succeed: they state up to when data were asked for."""
    with duckdb.connect(layout.build_file) as connection:
        connection.execute("create or replace table main.billing_settings as select ? as as_of_utc", [AS_OF])
    advance(layout.build_file, scan, models_version="a")


def settle(layout):
    scan = scan_lake(layout)
    changed(layout, scan)
    follow(layout, scan)


def flags(layout):
    with duckdb.connect(layout.build_file) as connection:
        return connection.execute("from pipeline.changed_days order by all").fetchall()


def test_first_time_everything_is_new(layout):
    touch(layout)
    found = changed(layout)
    assert found.full_refresh
    assert found.days == {"meter_intervals": [DAY]}


def test_after_success_nothing_is_new_and_before_it_all_still_is(layout):
    touch(layout)
    scan = scan_lake(layout)
    assert not changed(layout, scan).is_empty
    assert not changed(layout, scan).is_empty
    follow(layout, scan)
    assert changed(layout).is_empty
    assert changed(layout).as_of_before == AS_OF.date()


def test_same_size_and_new_time_is_a_change(layout):
    path = touch(layout, content="x")
    settle(layout)
    path.write_text("y")
    os.utime(path, ns=(1, 1))
    assert changed(layout).days == {"meter_intervals": [DAY]}
    assert flags(layout) == [("meter_intervals", DAY, True, False)]


def test_coverage_and_data_are_told_apart(layout):
    touch(layout)
    settle(layout)
    touch(layout, name="coverage.parquet")
    changed(layout)
    assert flags(layout) == [("meter_intervals", DAY, False, True)]


def test_a_deleted_file_is_a_change(layout):
    path = touch(layout)
    settle(layout)
    path.unlink()
    assert changed(layout).days == {"meter_intervals": [DAY]}
    settle(layout)
    assert changed(layout).is_empty


def test_a_file_that_changes_while_models_run_is_seen_next_time(layout):
    path = touch(layout)
    scan = scan_lake(layout)
    changed(layout, scan)
    path.write_text("changed meanwhile")
    follow(layout, scan)
    assert changed(layout).days == {"meter_intervals": [DAY]}


def shown_days(layout, view):
    with duckdb.connect(layout.build_file) as connection:
        return [
            day
            for (day,) in connection.execute(f"select distinct local_date from pipeline.{view} order by 1").fetchall()
        ]


def test_models_are_shown_the_files_of_changed_days_only(tmp_path):
    """Looking for every file of every year cost more than the models; a folder's name may hold signs of a pattern."""
    layout = Layout(tmp_path / "o'clock [100%] {x}")
    write_empty_files(layout)
    days = [DAY - timedelta(days=2), DAY - timedelta(days=1), DAY]
    read_at = datetime(2026, 10, 5, 10, tzinfo=UTC)
    reading = pl.DataFrame([{"site_id": "s", "meter_id": "m", "read_at_utc": read_at, "fetched_at_utc": read_at}])
    asked = pl.DataFrame([{"site_id": "s", "subject_id": "m", "state": "complete"}])
    for day in days:
        for dataset in ("meter_indices", "meter_intervals"):
            layout.day(dataset, day).mkdir(parents=True)
            asked.write_parquet(layout.coverage_file(dataset, day))
        reading.write_parquet(layout.data_file("meter_indices", day))

    assert changed(layout).full_refresh
    assert shown_days(layout, "meter_indices") == days
    follow(layout, scan_lake(layout))
    asked.with_columns(state=pl.lit("gap")).write_parquet(layout.coverage_file("meter_intervals", DAY))
    layout.data_file("meter_indices", days[0]).unlink()
    changed(layout)
    # Of the days on which anything changed, all datasets; a file that is gone is not asked for.
    assert shown_days(layout, "meter_intervals_coverage") == [days[0], DAY]
    assert shown_days(layout, "meter_indices") == [DAY]
    assert shown_days(layout, "meter_indices_coverage") == [days[0], DAY]
    follow(layout, scan_lake(layout))
    changed(layout)
    assert shown_days(layout, "meter_indices") == []


def test_what_is_no_partition_is_left_alone(layout):
    assert (layout.dataset("meters") / EMPTY_PARTITION / "data.parquet").exists()
    (layout.dataset("meters") / ".day=2026-10-05.tmp").mkdir()
    (layout.dataset("meters") / "day=2026-10-05").write_text("a file")
    assert scan_lake(layout).files.is_empty()


def test_changed_settings_and_changed_models_are_changes(layout):
    settle(layout)
    other = dataclasses.replace(SETTINGS, close_after_days=5)
    found = prepare(layout.build_file, scan_lake(layout), other, models_version="a")
    assert (found.inputs, found.full_refresh, found.is_empty) == ({"settings"}, False, False)
    # Preparing is not succeeding: the change is still there at the next try.
    assert prepare(layout.build_file, scan_lake(layout), other, models_version="a").inputs == {"settings"}
    assert prepare(layout.build_file, scan_lake(layout), SETTINGS, models_version="b").full_refresh
    assert is_built_with(layout.build_file, "a")
    assert not is_built_with(layout.build_file, "b")
    assert not is_built_with(layout.build / "other.duckdb", "a")


def test_an_input_that_says_something_else_is_a_change_until_the_models_have_followed(layout):
    """A refresh that failed left nothing behind that said why it had begun."""

    def inputs(*sites):
        table = pl.DataFrame({"site_id": sites}, schema={"site_id": pl.String})
        return PipelineInputs({"decisions": table}, user_digest=",".join(sites))

    scan = scan_lake(layout)
    assert changed(layout, scan, inputs=inputs("a")).inputs >= {"decisions"}
    follow(layout, scan)
    assert changed(layout, inputs=inputs("a")).is_empty
    assert changed(layout, inputs=inputs("b")).inputs == {"decisions"}
    assert changed(layout, inputs=inputs("b")).inputs == {"decisions"}
    follow(layout, scan)
    assert changed(layout, inputs=inputs("b")).is_empty
    # In another order it says the same.
    assert changed(layout, inputs=inputs("b", "a")).inputs == {"decisions"}
    follow(layout, scan)
    assert changed(layout, inputs=inputs("a", "b")).is_empty


def test_a_build_file_in_use_is_named(layout, tmp_path):
    settle(layout)
    blocker = duckdb.connect(layout.build_file)
    try:
        with pytest.raises(WarehouseError, match="build file"), open_build_file(layout.build_file):
            pass
    finally:
        blocker.close()


def test_a_fresh_build_file_has_the_catalog_of_the_old_one(layout):
    stale = fresh_build_file(layout)
    stale.write_text("half a file")
    fresh = fresh_build_file(layout)
    assert not fresh.exists()
    assert fresh.name == layout.build_file.name


@pytest.mark.slow
def test_ten_years_are_scanned_in_seconds(layout):
    for dataset in DATASETS:
        for number in range(3650):
            path = layout.data_file(dataset, date(2016, 1, 1) + timedelta(days=number))
            path.parent.mkdir(parents=True)
            path.touch()
    began = time.monotonic()
    settle(layout)
    assert changed(layout).is_empty
    assert time.monotonic() - began < 60
