"""Raw readings: where they matter, in the fewest calls."""

from __future__ import annotations

from collections import Counter
from datetime import date, timedelta

import polars as pl

from climkit_pipeline.ingest.raw_policy import Part, parts_of
from climkit_pipeline.lake.schemas import DATASETS

ALL = tuple(DATASETS)
RAW = ("meter_indices",)
TODAY = date(2026, 11, 20)
HALF_YEAR = date(2026, 3, 1), date(2026, 8, 31)
SPRING = date(2026, 3, 1), date(2026, 5, 31)
PAIR = {"sites": 1, "meters": 2}


def test_recent_months_hold_raw_readings_and_older_ones_come_last_in_long_windows():
    parts = parts_of(date(2024, 9, 15), date(2026, 11, 19), ALL, TODAY, is_sparing=True)
    months, raw = parts[:27], parts[27:]
    assert [part.first_day for part in months[:3]] == [date(2026, 11, 1), date(2026, 10, 1), date(2026, 9, 1)]
    assert [RAW[0] in part.datasets for part in months] == [True, True] + [False] * 25
    assert raw == [
        Part(date(2025, 10, 1), date(2026, 9, 30), RAW, is_raw_sparing=True),
        Part(date(2024, 10, 1), date(2025, 9, 30), RAW, is_raw_sparing=True),
        Part(date(2024, 9, 15), date(2024, 9, 30), RAW, is_raw_sparing=True),
    ]
    days = Counter(
        day
        for part in raw
        for day in range(part.first_day.toordinal(), part.last_day.toordinal() + 1)
    )  # fmt: skip
    assert set(days.values()) == {1}
    assert len(days) == (date(2026, 9, 30) - date(2024, 9, 15)).days + 1


def test_all_of_it_on_request():
    for parts in (
        parts_of(*HALF_YEAR, ALL, TODAY, is_sparing=False),
        parts_of(*HALF_YEAR, RAW, TODAY, is_sparing=True),
    ):
        assert len(parts) == 6
        assert all(RAW[0] in part.datasets and not part.is_raw_sparing for part in parts)


def test_three_months_of_raw_readings_are_one_call_a_meter(bench):
    one = bench(world=PAIR)
    report, calls = one.run_counted(*SPRING, datasets=RAW, is_raw_sparing=True)
    assert report.is_good
    assert len(calls) == 2
    assert one.states("meter_indices", *SPRING) == {"complete"}
    assert one.run_counted(*SPRING, datasets=RAW, is_raw_sparing=True)[1] == []


def test_where_long_windows_are_refused_the_bounds_of_months_are_asked_for(bench):
    """Seven days at most: a month of each meter would be five calls, its bound is one."""
    one = bench(world=PAIR, server={"longest_window": timedelta(days=8, minutes=15)})
    report, calls = one.run_counted(*SPRING, datasets=RAW, is_raw_sparing=True)
    assert report.is_good
    second = one.world.sites[0].meters[1]
    own = [call for call in calls if call.subject == second.id]
    assert {call.status for call in own} == {200}
    assert len(own) == 4
    asked = one.coverage("meter_indices").filter(subject_id=second.id)
    first_days = asked.filter(pl.col("day").is_in([date(2026, month, 1) for month in (4, 5)]))
    assert first_days.height == 2
    assert set(first_days["state"]) == {"complete"}
    assert asked.filter(day=date(2026, 5, 15)).is_empty()
