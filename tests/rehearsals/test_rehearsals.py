"""The rehearsals in their short forms; `make rehearse` runs the long ones and writes down their figures."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import polars as pl
import pytest
from outcomes import differences
from rehearsal_list import REHEARSALS
from soak import days_asked_twice
from stage import SHORT_SCENE, Stage, breaches, repeated, share_of_slots

from climkit_pipeline.simulator import Call

MIDNIGHT = datetime(2026, 9, 9, 22, tzinfo=UTC)
"""In Zurich."""


def a_call(arrived: float, *, first: int = 0, days: int = 1, site_id: str = "", endpoint: str = "meter_data") -> Call:
    """A call for whole days, the day before them, and the period more that covers either edge."""
    start, end = MIDNIGHT + timedelta(days=first - 1), MIDNIGHT + timedelta(days=first + days, minutes=15)
    return Call(arrived, "POST", endpoint, site_id, "meter", start, end, "15T", 200, 96, None)


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Stage:
    return Stage(tmp_path_factory.mktemp("rehearsals"))


@pytest.mark.parametrize("name", REHEARSALS)
def test_the_short_rehearsal_gives_what_was_asked_for(stage: Stage, name: str) -> None:
    result = REHEARSALS[name](stage, 1, True)
    assert [figure for figure in result.figures if not figure.is_met] == [], result.problems


@pytest.mark.parametrize(
    ("arrivals", "rate", "expected"),
    [
        ([0.0, 1.0, 2.0], 1.0, 0),
        ([0.0, 0.999, 2.0], 1.0, 1),
        ([0.0, 0.0, 0.0], 1.0, 2),
        ([0.0, 0.1, 0.2, 0.3, 0.4, 1.0, 1.1], 5.0, 0),
        ([0.0, 0.1, 0.2, 0.3, 0.4, 0.999], 5.0, 1),
        ([1.5, 0.0], 0.5, 1),
    ],
)
def test_a_breach_is_a_call_too_many_in_the_window_that_ends_with_it(
    arrivals: list[float], rate: float, expected: int
) -> None:
    assert breaches(map(a_call, arrivals), rate) == expected


def test_the_share_of_slots_counts_both_ends() -> None:
    assert share_of_slots([a_call(at) for at in (5.0, 6.0, 7.0)], 1.0) == 1.0
    assert share_of_slots([a_call(at) for at in (5.0, 7.0)], 1.0) == pytest.approx(2 / 3)


def test_a_call_made_again_and_a_day_asked_again_are_seen() -> None:
    world = SHORT_SCENE.world()
    site_id = world.sites[0].site_id
    once = [a_call(1, site_id=site_id, days=3), a_call(2, site_id=site_id, first=3)]
    assert (repeated(once), days_asked_twice(world, once)) == (0, 0)
    overlapping = [*once, a_call(3, site_id=site_id, first=2, days=2)]
    assert (repeated(overlapping), days_asked_twice(world, overlapping)) == (0, 2)
    again = [*once, a_call(3, site_id=site_id, first=3)]
    assert (repeated(again), days_asked_twice(world, again)) == (1, 1)


def test_one_other_value_and_one_row_less_are_differences() -> None:
    one = {"t": pl.DataFrame({"a": [1, 2]})}
    assert differences(one, {"t": pl.DataFrame({"a": [1, 2]})}) == []
    assert differences(one, {"t": pl.DataFrame({"a": [1, 3]})}) == ["t: a 3 instead of 2"]
    assert differences(one, {"t": pl.DataFrame({"a": [1]})}) == ["t: 1 rows instead of 2"]
    assert differences(one, {}) == ["t is in one of them only"]
