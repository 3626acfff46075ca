"""The lakes of the benchmark are lakes in which everything agrees, and what is measured comes to the right numbers."""

from __future__ import annotations

from collections import Counter
from datetime import date, timedelta

import duckdb
import polars as pl
import pytest
from bench_scale import Account, Measured, Usage, as_markdown, build_all, ensure_lake, measure
from scale_lake import FIRST_NEW_DAY, LOOKBACK_DAYS, REVISED_DAYS_AGO, ScaleLake, Size, linked_lake

from climkit_pipeline.lake.layout import Layout
from climkit_pipeline.lake.parquet import read_parquet
from climkit_pipeline.lake.schemas import COVERAGE_SCHEMA, DATASETS

SMALL = Size(sites=2, meters=6, days=LOOKBACK_DAYS + 2)
LAST_DAY = FIRST_NEW_DAY - timedelta(days=1)
SITE_TIME = ["site_id", "interval_start_utc"]


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    return ensure_lake(tmp_path_factory.mktemp("lakes"), SMALL)


@pytest.fixture
def lake(written, tmp_path) -> ScaleLake:
    return linked_lake(written, tmp_path / "linked", SMALL)


def rows_of(lake: ScaleLake, dataset: str, day: date) -> pl.DataFrame:
    return read_parquet(lake.layout.data_file(dataset, day), DATASETS[dataset].schema)


def current_rows(lake: ScaleLake, dataset: str, day: date) -> pl.DataFrame:
    return rows_of(lake, dataset, day).filter(pl.col("superseded_at_utc").is_null())


def thousandths(quantity: pl.Expr) -> pl.Expr:
    return (quantity * 1000).round(3)


def test_each_day_has_its_quarter_hours_and_its_coverage_in_the_order_of_commits(tmp_path):
    lake = ScaleLake(Layout(tmp_path), SMALL)
    for day, quarter_hours in ((date(2026, 3, 29), 92), (date(2026, 10, 25), 100), (LAST_DAY, 96)):
        lake.add(day)
        lake.ask(day, now=lake.sites["created_at_utc"][0] + timedelta(days=300))
        for dataset, subjects in (("meter_intervals", 12), ("meter_indices", 12), ("site_intervals", 2)):
            rows = rows_of(lake, dataset, day)
            assert rows.height == subjects * quarter_hours
            assert rows.equals(rows.sort(DATASETS[dataset].key))
            coverage = read_parquet(lake.layout.coverage_file(dataset, day), COVERAGE_SCHEMA)
            assert coverage.height == subjects
            assert coverage["received"].unique().to_list() == [quarter_hours]


def test_registers_intervals_series_of_sites_and_the_split_agree(lake):
    intervals = current_rows(lake, "meter_intervals", LAST_DAY)
    totals = intervals.join(lake.meters, on=["site_id", "meter_id"])
    flats = totals.filter((pl.col("meter_mode") == "consumption") & (pl.col("meter_type") == "electricity"))
    of_site = current_rows(lake, "site_intervals", LAST_DAY).sort(SITE_TIME)
    summed = flats.group_by(SITE_TIME).agg(pl.col("total", "solar", "grid").sum()).sort(SITE_TIME)
    for stated, added in (("consumption", "total"), ("self_consumption", "solar"), ("grid_import", "grid")):
        assert of_site.select(thousandths(pl.col(stated))).equals(
            summed.select(thousandths(pl.col(added)).alias(stated))
        )
    assert flats.select((pl.col("total") - pl.col("solar") - pl.col("grid")).abs().max()).item() < 1e-9
    for mode, stated in (("introduction", "grid_import"), ("production", "production")):
        assert (
            totals.filter(pl.col("meter_mode") == mode).sort(SITE_TIME)["total"].equals(of_site[stated].rename("total"))
        )
    register = pl.max_horizontal("index_import_kwh", "index_export_kwh", "volume_m3")
    is_grid = pl.col("meter_mode") == "introduction"
    counted = (
        current_rows(lake, "meter_indices", LAST_DAY)
        .join(lake.meters, on=["site_id", "meter_id"])
        .sort("site_id", "meter_id", "read_at_utc")
        .with_columns(register=pl.when(is_grid).then("index_import_kwh").otherwise(register))
        .select(thousandths(pl.col("register").diff().over("site_id", "meter_id")))
    )
    stated_totals = intervals.sort("site_id", "meter_id", "interval_start_utc").select(thousandths(pl.col("total")))
    is_first = counted["register"].is_null()
    assert counted["register"].filter(~is_first).equals(stated_totals["total"].filter(~is_first).rename("register"))


def test_a_new_day_goes_on_where_the_registers_stood_and_leaves_lakes_that_share_files_alone(written, lake, tmp_path):
    other = linked_lake(written, tmp_path / "other", SMALL)
    before = rows_of(lake, "meter_indices", LAST_DAY).group_by("meter_id").agg(pl.col("volume_m3").max())
    lake.live_a_day(FIRST_NEW_DAY)
    after = rows_of(lake, "meter_indices", FIRST_NEW_DAY).group_by("meter_id").agg(pl.col("volume_m3").max())
    stated = rows_of(lake, "meter_intervals", FIRST_NEW_DAY).group_by("meter_id").agg(pl.col("total").sum())
    water = before.join(after, on="meter_id").join(stated, on="meter_id").drop_nulls()
    assert water.height == SMALL.sites
    assert (water["volume_m3_right"] - water["volume_m3"] - water["total"]).abs().max() < 1e-6
    revised = FIRST_NEW_DAY - timedelta(days=REVISED_DAYS_AGO)
    assert rows_of(lake, "meter_intervals", revised).height == 12 * 96 + 1
    assert rows_of(other, "meter_intervals", revised).height == 12 * 96
    assert not other.layout.day("meter_intervals", FIRST_NEW_DAY).exists()


def test_a_lake_that_is_there_is_not_written_again(written):
    path = Layout(written).data_file("meter_intervals", LAST_DAY)
    before = path.stat()
    assert ensure_lake(written.parent, SMALL) == written
    assert path.stat() == before


def test_an_account_that_begins_later_says_so(written, tmp_path):
    later = linked_lake(written, tmp_path / "later", Size(2, 6, 5))
    first_day = FIRST_NEW_DAY - timedelta(days=5)
    assert later.layout.day("sites", first_day).exists()
    assert not later.layout.day("sites", first_day - timedelta(days=1)).exists()
    created = rows_of(later, "sites", LAST_DAY)["created_at_utc"].dt.convert_time_zone("Europe/Zurich")
    assert created.dt.date().unique().to_list() == [first_day]


@pytest.mark.slow
def test_past_months_are_ready_and_a_daily_refresh_gives_what_a_full_build_gives(tmp_path):
    measured = measure(tmp_path, Size(2, 4, 70), compare_days=0, refreshes=1, stop_after=None, sums=1)
    [account] = measured.accounts
    assert account.grades == Counter(ready=8 * 2)
    followed = billed(account)
    build_all(account.root)
    assert followed == billed(account)
    assert len(followed) == 8 * 4
    assert "16 of 16 are `ready`" in as_markdown(measured)


def billed(account: Account) -> list[tuple]:
    with duckdb.connect(account.lake.layout.warehouse, read_only=True) as connection:
        return connection.execute(
            """select site_id, meter_id, billing_month, grade, total, solar, grid, index_advance, intervals_revised
            from billing_monthly order by all"""
        ).fetchall()


def test_the_verdict_is_the_ratio_of_the_lowest_figures(tmp_path):
    accounts = [
        Account(
            ScaleLake(Layout(tmp_path), Size(1, 4, days)),
            full=Usage(10 * cpu[0], 1.0, 1.0),
            daily=[Usage(seconds, 2.0, 100.0) for seconds in cpu],
            nothing=[Usage(0.5, 1.0, 100.0)],
            copies=[0.5],
            size_bytes=10**9,
            grades=Counter(ready=8),
        )
        for days, cpu in ((1096, [9.0, 6.0]), (365, [4.0, 9.0]))
    ]
    measured = Measured(Size(1, 4, 1096), 10**9, [Usage(3.0, 2.0, 50.0), Usage(2.0, 4.0, 60.0)], accounts)
    assert measured.ratio == 1.5
    page = as_markdown(measured)
    assert "| full build, times the sum | 45.0 | 0.5 | |" in page
    assert "| **a daily refresh, CPU** (goal: ratio at most 1.2) | 4.00 s | 6.00 s | 1.50 |" in page
