"""Answers that nobody expected: what can be had of them is had, and what cannot is said."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal

import pytest
from ingest_bench import QUARTER, quarters, rewriting, stamp

from climkit_pipeline.ingest.reports import StatedStep
from climkit_pipeline.simulator import DataFault, Fault

OCTOBER = date(2026, 10, 1), date(2026, 10, 31)
ONE_SITE = {"sites": 1, "meters": 4}


def exact(column):
    return sum((Decimal(repr(value)) for value in column), Decimal(0))


def found(report):
    """Occurrences by code and subject."""
    return {(each.finding.code, each.finding.subject_id): each.finding.count for each in report.committed.findings}


@pytest.mark.parametrize("kind", ["no_timestamp", "no_row"])
def test_one_odd_row_costs_its_own_interval_alone(bench, faults, kind):
    """A null timestamp refused 2,979 good rows of a month, and the month stayed empty."""
    one = bench(world=ONE_SITE)
    site = one.world.sites[0]
    meter = site.meters[0].id
    days = date(2026, 10, 20), date(2026, 10, 26)
    faults.add(lambda request: request.subject == meter and request.endpoint == "meter_data", Fault(kind), times=1)
    faults.add(lambda request: request.subject == meter and request.endpoint == "meter_data", Fault("empty"), times=1)
    report = one.run(*days, datasets=("meter_intervals",))
    assert report.is_good
    assert found(report) == {("unreadable_row", meter): 1}
    rows = one.current("meter_intervals").filter(meter_id=meter)
    due = quarters(one.world, site.site_id, *days)
    lost = sorted(set(due) - set(rows["interval_start_utc"]))
    assert len(due) == 7 * 96 + 4
    assert rows.height == len(due) - 1
    coverage = one.coverage("meter_intervals").filter(subject_id=meter)
    assert sorted(coverage["state"]) == ["complete"] * 6 + ["gap"]
    assert coverage.filter(state="gap")["gaps"].to_list() == [
        [{"gap_start_utc": lost[0], "gap_end_utc": lost[0] + QUARTER}]
    ]
    assert one.run(*days, datasets=("meter_intervals",)).is_good
    rows = one.current("meter_intervals").filter(meter_id=meter)
    assert exact(rows["total"]) == one.world.truth_between(site.site_id, meter, *days).total


@pytest.mark.parametrize("endpoint", ["meter_data_raw", "sensor_data", "site_data"])
def test_odd_rows_of_other_series_are_told_too(bench, faults, endpoint):
    one = bench(world=ONE_SITE)
    faults.add(lambda request: request.endpoint == endpoint, Fault("no_timestamp"), times=1)
    report = one.run(OCTOBER[0])
    assert report.is_good
    assert [code for code, _ in found(report)] == ["unreadable_row"]


# --- intervals of several lengths ----------------------------------------------------------------------------------

WATER = 5
"""The position of a water meter."""


def hourly(*days):
    return {"sites": 1, "meters": 6, "data_faults": (DataFault("hourly", 0, WATER, *days),)}


@pytest.mark.parametrize(
    ("coarse", "range_"),
    [
        ((date(2026, 10, 1), date(2026, 10, 14)), OCTOBER),
        ((date(2026, 10, 15), date(2026, 10, 31)), OCTOBER),
        ((date(2026, 10, 25), date(2026, 10, 25)), OCTOBER),
        ((date(2026, 3, 10), date(2026, 3, 30)), (date(2026, 3, 1), date(2026, 3, 31))),
    ],
    ids=["until the 14th", "from the 15th", "the day of 25 hours", "around the day of 23 hours"],
)
def test_hours_and_quarter_hours_in_one_answer_each_keep_their_length(bench, coarse, range_):
    """Hourly rows were filed as quarter-hours: a month that never became ready, and grew a row with each backfill."""
    one = bench(world=hourly(*coarse))
    site = one.world.sites[0]
    meter = site.meters[WATER].id
    assert one.run(*range_, datasets=("meter_intervals",)).is_good
    rows = one.current("meter_intervals").filter(meter_id=meter).sort("interval_start_utc")
    assert exact(rows["total"]) == one.world.truth_between(site.site_id, meter, *range_).total
    due = quarters(one.world, site.site_id, *range_)
    hours = set(quarters(one.world, site.site_id, *coarse))
    starts = [at for at in due if at not in hours or at.minute == 0]
    assert rows["interval_start_utc"].to_list() == starts
    assert rows["interval_end_utc"].to_list() == [*starts[1:], due[-1] + QUARTER]
    coverage = one.coverage("meter_intervals").filter(subject_id=meter).sort("day")
    assert set(coverage["state"]) == {"complete"}
    assert coverage["interval_minutes"].to_list() == [
        60 if coarse[0] <= day <= coarse[1] else 15 for day in coverage["day"]
    ]
    assert coverage["expected"].to_list() == coverage["received"].to_list()
    _, calls = one.run_counted(*range_, datasets=("meter_intervals",))
    assert calls == []
    again = one.run(*range_, datasets=("meter_intervals",), refetch=True)
    assert (again.committed.rows_new, again.committed.rows_revised) == (0, 0)


def test_an_outage_of_quarter_hours_is_not_taken_for_hours(bench, faults):
    """What an outage left of each hour is no hourly value: three quarter-hours of each are missing."""
    one = bench(world={"sites": 1, "meters": 6})
    site = one.world.sites[0]
    meter = site.meters[WATER].id
    first, last = stamp_of(DAYS[0], 6, one), stamp_of(DAYS[0], 16, one)

    def hole(rows):
        return (row for row in rows if not first < stamp(row) < last or stamp(row).minute == 0)

    faults.add(lambda request: request.subject == meter and request.endpoint == "meter_data", rewriting(hole))
    one.run(*DAYS, datasets=("meter_intervals",))
    rows = one.current("meter_intervals").filter(meter_id=meter)
    assert set(rows["interval_end_utc"] - rows["interval_start_utc"]) == {QUARTER}
    assert one.states("meter_intervals", DAYS[0]) == {"complete", "gap"}


def test_what_somebody_states_of_a_step_holds_where_rows_cannot_tell(bench, faults):
    """interval_minutes in meters.csv changed nothing of rows that stand too far apart to tell their own length."""
    one = bench(world={"sites": 1, "meters": 6})
    site = one.world.sites[0]
    meter = site.meters[WATER].id

    def thin(rows):
        return (row for row in rows if stamp(row).astimezone(site.zone).date() != DAYS[0] or stamp(row).minute == 0)

    faults.add(lambda request: request.subject == meter and request.endpoint == "meter_data", rewriting(thin))
    stated = (StatedStep(site.site_id, meter, DAYS[0], DAYS[0], 60),)
    assert one.run(*DAYS, datasets=("meter_intervals",)).is_good
    assert one.run(*DAYS, datasets=("meter_intervals",), stated_steps=stated).is_good
    coverage = one.coverage("meter_intervals").filter(subject_id=meter).sort("day")
    assert coverage.select("state", "interval_minutes", "received").rows() == [
        ("complete", 60, 24), ("complete", 15, 96), ("complete", 15, 96),
    ]  # fmt: skip


DAYS = date(2026, 10, 10), date(2026, 10, 12)


def stamp_of(day, hour, one):
    """An hour of a day by UTC, which is two hours behind in October."""
    return quarters(one.world, one.world.sites[0].site_id, day, day)[0] + timedelta(hours=hour)
