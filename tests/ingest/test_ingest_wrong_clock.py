"""A machine whose clock was ahead once: what it left is put right, and nothing that comes later is filed as older."""

from __future__ import annotations

from datetime import date, timedelta

import polars as pl
import pytest
from ingest_bench import NOW, rewriting

from climkit_pipeline.errors import ConfigurationError
from climkit_pipeline.ingest import ingestion
from climkit_pipeline.lake import future_times
from climkit_pipeline.lake.layout import Layout
from climkit_pipeline.simulator import AccountForm

DAYS = date(2026, 6, 10), date(2026, 6, 12)
ONE_SITE = {"sites": 1, "meters": 2}
YEAR = timedelta(days=365)


def times(factor):
    return rewriting(lambda rows: [{**row, "total": row["total"] * factor} for row in rows])


@pytest.fixture
def of_next_year(bench, faults):
    """Right values, then others fetched by a clock that was a year ahead."""
    one = bench(world=ONE_SITE)
    meter = one.world.sites[0].meters[1].id
    one.run(*DAYS)
    faults.add(lambda request: request.subject == meter and request.endpoint == "meter_data", times(2), times=1)
    one.clock.at = NOW + YEAR
    one.run(*DAYS, refetch=True)
    one.clock.at = NOW + timedelta(days=1)
    return one, meter


def test_what_a_clock_that_was_ahead_left_is_healed_by_one_command(of_next_year):
    """ "51 revised" was printed, and the old value stayed current until that year came."""
    one, meter = of_next_year
    layout = Layout(one.data_dir)
    with pytest.raises(ConfigurationError, match="climkit heal-times"):
        one.run(*DAYS)
    found = future_times.heal(layout, one.clock.at)
    assert found
    assert (found.first_day, found.last_day) == DAYS
    assert not future_times.find(layout, one.clock.at)
    for dataset in ("sites", "meters", "meter_intervals", "meter_indices", "api_calls"):
        rows = one.versions(dataset)
        times = [name for name in rows.columns if name in {"fetched_at_utc", "superseded_at_utc", "started_at_utc"}]
        assert max(max(rows[name].drop_nulls(), default=NOW) for name in times) <= one.clock.at + timedelta(seconds=1)
        assert max(rows["day"]) <= one.clock.at.date()
    assert one.run(*DAYS).is_good
    rows = one.current("meter_intervals").filter(meter_id=meter).sort("interval_start_utc")
    assert rows.height == 3 * 96
    truth = one.world.truth_between(one.world.sites[0].site_id, meter, *DAYS)
    assert round(rows["total"].sum(), 6) == float(truth.total)
    versions = one.versions("meter_intervals").filter(pl.col("meter_id") == meter)
    assert versions.filter(pl.col("superseded_at_utc") < pl.col("fetched_at_utc")).is_empty()
    assert not future_times.heal(layout, one.clock.at)


def test_an_answer_that_came_after_those_of_next_year_is_current_at_once(of_next_year, faults, monkeypatch):
    """As an earlier version filed it: the right value came later, and was taken for older."""
    one, meter = of_next_year
    faults.add(lambda request: request.subject == meter and request.endpoint == "meter_data", times(3), times=1)
    monkeypatch.setattr(ingestion, "LARGEST_CLOCK_DIFFERENCE", 2 * YEAR)
    one.run(*DAYS, refetch=True)
    monkeypatch.undo()
    wrong = one.current("meter_intervals").filter(meter_id=meter)["total"].sum()
    truth = float(one.world.truth_between(one.world.sites[0].site_id, meter, *DAYS).total)
    assert round(wrong, 6) == round(2 * truth, 6)
    future_times.heal(Layout(one.data_dir), one.clock.at)
    assert round(one.current("meter_intervals").filter(meter_id=meter)["total"].sum(), 6) == round(3 * truth, 6)
    assert one.states("meter_intervals", *DAYS) == {"pending"}


def test_a_run_with_a_wrong_clock_ends_before_it_asks_for_anything(bench):
    one = bench(world=ONE_SITE, server={"account": AccountForm(clock_seconds=-86400)})
    with pytest.raises(ConfigurationError, match="set the clock right"):
        one.run(*DAYS)
    assert [call.endpoint for call in one.server.calls] == ["auth"]
