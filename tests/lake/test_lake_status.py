from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest

from climkit_pipeline.lake.coverage import DayCoverage, to_frame
from climkit_pipeline.lake.day_files import write_coverage_day, write_empty_files
from climkit_pipeline.lake.schemas import DATASETS
from climkit_pipeline.lake.status import lake_status

ASKED = datetime(2026, 5, 1, 8, tzinfo=UTC)


def cover(layout, dataset, day, rows, *, asked=ASKED):
    """Give a day coverage: (site, subject, state) each."""
    frame = to_frame([DayCoverage(site, subject, asked, asked, state=state) for site, subject, state in rows])
    write_coverage_day(layout, DATASETS[dataset], date(2026, 4, day), frame)


def test_a_lake_that_was_never_asked_has_no_status(layout):
    """`status` on the first day must say so, not fail."""
    assert lake_status(layout) == []
    write_empty_files(layout)
    assert lake_status(layout) == []


@pytest.mark.parametrize(
    ("states", "counted"),
    [
        ({"complete"}, "complete"),
        ({"complete", "empty"}, "complete"),
        ({"empty"}, "empty"),
        ({"complete", "gap", "empty"}, "gaps"),
        ({"gap", "pending"}, "pending"),
        ({"complete", "gap", "pending", "failed"}, "failed"),
    ],
)
def test_a_day_counts_once_under_its_worst_subject(layout, states, counted):
    """One failed meter among thirty complete ones must show."""
    cover(layout, "meter_intervals", 1, [("s", f"m{number}", state) for number, state in enumerate(sorted(states))])
    (entry,) = lake_status(layout)
    counts = {name: getattr(entry, name) for name in ("complete", "empty", "gaps", "pending", "failed", "never_asked")}
    assert counts == {**dict.fromkeys(counts, 0), counted: 1}


def test_days_never_asked_are_counted_inside_the_range_of_the_site(layout):
    """A dataset left out of a backfill looked complete; another site's longer history made holes."""
    cover(layout, "meter_intervals", 3, [("a", "m", "complete")])
    cover(layout, "meter_intervals", 5, [("a", "m", "complete"), ("b", "m", "complete")])
    cover(layout, "site_intervals", 6, [("a", "electricity", "complete")])
    cover(layout, "meter_indices", 6, [("a", "m", "complete")])
    entries = {(entry.site_id, entry.dataset): entry for entry in lake_status(layout)}
    assert {key: (entry.first_day.day, entry.last_day.day, entry.never_asked) for key, entry in entries.items()} == {
        ("a", "meter_intervals"): (3, 6, 2),
        ("a", "site_intervals"): (3, 6, 3),
        ("a", "meter_indices"): (3, 6, 3),
        ("b", "meter_intervals"): (5, 5, 0),
    }


def test_the_last_instant_asked_is_that_of_the_site_and_dataset(layout):
    """The newest of the whole lake would hide a site that has not answered for weeks."""
    cover(layout, "meter_intervals", 1, [("a", "m", "complete")], asked=ASKED)
    cover(layout, "meter_intervals", 2, [("a", "m", "complete")], asked=ASKED - timedelta(days=1))
    cover(layout, "meter_intervals", 3, [("b", "m", "complete")], asked=ASKED + timedelta(days=3))
    assert {entry.site_id: entry.last_asked_at_utc for entry in lake_status(layout)} == {
        "a": ASKED,
        "b": ASKED + timedelta(days=3),
    }


def test_the_day_before_a_range_that_readings_begin_with_is_not_part_of_the_range(layout):
    """Windows of readings begin a day early: every interval series then lacked a day that nobody wanted."""
    cover(layout, "meter_intervals", 2, [("a", "m", "complete")])
    for day in (1, 2):
        cover(layout, "meter_indices", day, [("a", "m", "complete")])
    assert {entry.never_asked for entry in lake_status(layout)} == {0}


def test_the_snapshot_of_today_does_not_stretch_the_range(layout):
    """Listings fill the day of the fetch: every series then seemed never asked between the range and today."""
    cover(layout, "meter_intervals", 1, [("a", "m", "complete")])
    for day in (1, 20):
        cover(layout, "meters", day, [("a", "a", "complete")])
    entries = {entry.dataset: entry for entry in lake_status(layout)}
    assert entries["meter_intervals"].never_asked == 0
    assert entries["meters"].last_day == date(2026, 4, 1)


def test_entries_are_ordered_by_site_then_by_dataset(layout):
    """Two runs of `status` must print the same table."""
    for dataset in ("sensor_readings", "meters", "meter_intervals"):
        cover(layout, dataset, 1, [("b", "x", "complete"), ("a", "x", "complete")])
    assert [(entry.site_id, entry.dataset) for entry in lake_status(layout)] == [
        (site, dataset) for site in ("a", "b") for dataset in ("meters", "meter_intervals", "sensor_readings")
    ]
