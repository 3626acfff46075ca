"""What is missing for a known reason costs no calls of its own: counted by the server."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, date, datetime, timedelta

import pytest
from ingest_bench import rewriting, stamp

from climkit_pipeline.domain.periods import local_midnight_utc

SMALL = {"sites": 1, "meters": 2}
SERIES = {"meter_data", "site_data"}
INTERVALS = {"datasets": ("meter_intervals", "site_intervals")}


def offline_from(instant):
    """Answers without what was measured after ``instant``."""
    return rewriting(lambda rows: [row for row in rows if stamp(row) <= instant])


def subjects(one):
    """Meters, and the meter types with a series of the site."""
    (listing,) = one.ingestion.listings(one.ingestion.open_account()).sites
    return sum(len(listing.subjects(name)) for name in INTERVALS["datasets"])


def test_yesterdays_late_data_cost_one_call_a_subject_whatever_the_look_back(bench, faults, clock):
    """Every meter delivers in the afternoon: each morning's look-back took late data for cut answers."""
    one = bench(world=SMALL)
    yesterday = clock.at.date() - timedelta(days=1)
    first = yesterday - timedelta(days=6)
    late_from = local_midnight_utc(yesterday, one.world.sites[0].zone) + timedelta(hours=7)
    faults.add(lambda request: request.endpoint in SERIES, offline_from(late_from))
    report, calls = one.run_counted(first, yesterday, refetch=True, **INTERVALS)
    assert report.is_good
    assert len(calls) == subjects(one)
    assert one.states("meter_intervals", yesterday) == {"pending"}
    faults.rules.clear()
    clock.at += timedelta(days=1)
    report, calls = one.run_counted(first + timedelta(days=1), yesterday + timedelta(days=1), refetch=True, **INTERVALS)
    assert report.is_good
    assert len(calls) == subjects(one)
    assert one.states("meter_intervals", yesterday) == {"complete"}


def test_a_gateway_that_is_offline_for_four_days_does_not_double_the_calls(bench, faults, clock):
    """Every morning every meter lacked one day more: each was asked twice, on all sites behind that gateway."""
    one = bench(world=SMALL)
    zone = one.world.sites[0].zone
    broke_on = clock.at.date() - timedelta(days=1)
    broke_at = local_midnight_utc(broke_on, zone) + timedelta(hours=10)
    faults.add(lambda request: request.endpoint in SERIES, offline_from(broke_at))
    spent = []
    for _ in range(6):  # it comes back on the fifth morning
        today = clock.at.date()
        if today == broke_on + timedelta(days=5):
            faults.rules.clear()
        days = today - timedelta(days=7), today - timedelta(days=1)
        report, calls = one.run_counted(*days, refetch=True, **INTERVALS)
        assert report.is_good
        spent.append(len(calls))
        clock.at += timedelta(days=1)
    assert one.states("meter_intervals", broke_on, broke_on + timedelta(days=3)) == {"complete"}
    assert max(spent) < 1.5 * subjects(one), spent


def test_time_before_a_meter_existed_costs_one_call_a_window_once(bench, faults):
    """A meter of June in a backfill of years: the repeated call for what was never there doubled all its windows."""
    one = bench(world={"sites": 1, "meters": 2})
    site = one.world.sites[0]
    installed = datetime(2026, 3, 20, 10, tzinfo=UTC)
    faults.add(
        lambda request: request.endpoint == "meter_data",
        rewriting(lambda rows: [row for row in rows if stamp(row) > installed]),
    )
    only = {"datasets": ("meter_intervals",)}
    meters = [meter.id for meter in site.meters]
    # The morning of the day of installation looks like a cut answer, once.
    for first, last, calls_each in ((date(2026, 3, 1), date(2026, 3, 31), 2), (date(2026, 2, 1), date(2026, 2, 28), 1)):
        report, calls = one.run_counted(first, last, **only)
        assert report.is_good
        assert Counter(call.subject for call in calls) == dict.fromkeys(meters, calls_each)
    assert one.states("meter_intervals", date(2026, 2, 1), date(2026, 3, 19)) == {"empty"}
    assert one.run_counted(date(2026, 2, 1), date(2026, 2, 28), **only)[1] == []


@pytest.mark.parametrize("kind", ["duplicated", "short of the last quarter-hour"])
def test_edge_rows_do_not_make_a_whole_answer_short(bench, faults, kind):
    """The quarter-hour asked for beyond the window, missing or there twice, was taken for a cut answer."""
    one = bench(world=SMALL)
    zone = one.world.sites[0].zone
    day = date(2026, 6, 10)
    edge = local_midnight_utc(day + timedelta(days=1), zone) + timedelta(minutes=15)

    def change(rows):
        without = [row for row in rows if stamp(row) != edge]
        return without if kind != "duplicated" else [*rows, *(row for row in rows if stamp(row) == edge)]

    faults.add(lambda request: request.endpoint in SERIES, rewriting(change))
    report, calls = one.run_counted(day, **INTERVALS)
    assert report.is_good
    assert len(calls) == subjects(one)
    assert report.committed.findings == []
    assert one.states("meter_intervals", day) == {"complete"}
