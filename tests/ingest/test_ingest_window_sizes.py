"""What changes the size of windows for the rest of a run, and what never does."""

from __future__ import annotations

from collections import Counter
from datetime import date, timedelta

import pytest
from ingest_bench import ENDPOINTS

from climkit_pipeline.simulator import Fault

EIGHT_DAYS = date(2026, 6, 9), date(2026, 6, 16)
ONE_SITE = {"sites": 1, "meters": 3}
ONLY = {"datasets": ("meter_intervals",)}


def days(call):
    """How many local days a window asks for, the quarter-hour beyond them left out."""
    return round((call.t_e - call.t_s) / timedelta(days=1))


def meters_of(one):
    return [meter.id for meter in one.world.sites[0].meters]


def longer_than(limit, meter=None):
    span = timedelta(days=limit, hours=2)
    return lambda request: (
        request.endpoint in ENDPOINTS and meter in (None, request.subject) and request.t_e - request.t_s > span
    )


def first_asked(calls):
    """The size of each meter's first window."""
    sizes = {}
    for call in calls:
        sizes.setdefault(call.subject, days(call))
    return sizes


@pytest.mark.parametrize(
    "fault",
    [Fault("http_500"), Fault("http_503"), Fault("rate_429"), Fault("reset"), Fault("truncated"), Fault("html"),
     Fault("short", share=0.3), Fault("status", status=408)],
    ids=lambda fault: f"{fault.kind}-{fault.status}",
)  # fmt: skip
def test_one_broken_or_short_answer_never_changes_the_size(bench, faults, fault):
    """One 500 at the wrong moment made three years of windows half as long."""
    one = bench(world=ONE_SITE)
    faults.add(lambda request: request.endpoint == "meter_data", fault, times=1)
    report, calls = one.run_counted(*EIGHT_DAYS, **ONLY)
    assert report.is_good
    assert faults.met == 1
    assert first_asked(calls) == dict.fromkeys(meters_of(one), 8)
    whole = Counter(call.subject for call in calls if days(call) == 8)
    assert whole == Counter(meters_of(one)) + Counter({calls[0].subject: fault.kind != "short"})
    assert len(calls) == 4


@pytest.mark.parametrize("status", [400, 413])
def test_a_refused_length_is_remembered_at_once(bench, faults, status):
    """Each meter tried the long window first: a refusal per meter and month."""
    one = bench(world=ONE_SITE)
    faults.add(longer_than(5), Fault("status", status=status))
    report, calls = one.run_counted(*EIGHT_DAYS, **ONLY)
    assert report.is_good
    assert [call.subject for call in calls if call.status == status] == meters_of(one)[:1]
    assert set(first_asked(calls[1:]).values()) == {4}
    assert len(calls) == 1 + 3 * 2


def test_one_halving_after_spent_retries_helps_that_window_and_changes_nothing_else(bench, faults):
    """One meter with a bad week made all that came after it twice as many calls."""
    one = bench(world=ONE_SITE)
    faults.add(longer_than(5, meters_of(one)[0]), Fault("http_500"))
    report, calls = one.run_counted(*EIGHT_DAYS, **ONLY)
    assert report.is_good
    assert first_asked(calls) == dict.fromkeys(meters_of(one), 8)
    good = Counter(call.subject for call in calls if call.status == 200)
    assert good == {meter: 1 + (meter == meters_of(one)[0]) for meter in meters_of(one)}


def test_two_halvings_in_a_row_after_spent_retries_are_remembered(bench, faults):
    """An API that times out on long windows cost eight attempts and five minutes for each window of each meter."""
    one = bench(world=ONE_SITE)
    faults.add(longer_than(2), Fault("http_500"))
    report, calls = one.run_counted(*EIGHT_DAYS, **ONLY)
    assert report.is_good
    broken = {call.subject for call in calls if call.status == 500}
    assert broken == set(meters_of(one)[:1]), "only the first meter finds out"
    assert all(size <= 2 for meter, size in first_asked(calls).items() if meter not in broken)


def test_a_day_that_is_refused_alone_fails_alone(bench, faults):
    """400 on one day is about that day: the other seven came, and only it is red."""
    one = bench(world=ONE_SITE)
    bad = date(2026, 6, 13)
    meter = meters_of(one)[1]

    def holds_the_day(request):
        first, last = (each.astimezone(one.world.sites[0].zone) for each in (request.t_s, request.t_e))
        return first.date() <= bad < (last - timedelta(minutes=15)).date()

    faults.add(
        lambda request: request.endpoint == "meter_data" and request.subject == meter and holds_the_day(request),
        Fault("status", status=400),
    )
    report, calls = one.run_counted(*EIGHT_DAYS, **ONLY)
    assert [(failure.subject_id, failure.first_day, failure.last_day) for failure in report.failures] == [
        (meter, bad, bad)
    ]
    rows = one.coverage("meter_intervals").filter(subject_id=meter).sort("day")
    assert rows["state"].to_list() == ["failed" if day == bad else "complete" for day in rows["day"]]
    assert rows.height == 8
    later = meters_of(one)[2]
    assert [days(call) for call in calls if call.subject == later] == [8], "one bad day says nothing about length"
    assert [days(call) for call in calls if call.subject == meter] == [8, 4, 2, 2, 1, 1, 1, 1, 4]


def test_a_meter_that_refuses_everything_costs_few_calls(bench, faults):
    """400 to every window, halved down to days, was 59 calls a meter and month: a minute each night."""
    one = bench(world=ONE_SITE)
    faults.add(lambda request: request.subject == meters_of(one)[0], Fault("status", status=400))
    _, calls = one.run_counted(*EIGHT_DAYS, **ONLY)
    assert len([call for call in calls if call.subject == meters_of(one)[0]]) <= 8


def test_a_call_that_is_never_authorised_fails_its_meter_and_not_the_run(bench, faults):
    """401 for one meter alone is about that meter: sixty sites must not wait for it."""
    one = bench(world=ONE_SITE)
    bad = meters_of(one)[1]
    faults.add(lambda request: request.endpoint == "meter_data" and request.subject == bad, Fault("status", status=401))
    report, _ = one.run_counted(*EIGHT_DAYS, **ONLY)
    assert {failure.subject_id for failure in report.failures} == {bad}
    rows = one.coverage("meter_intervals")
    assert set(rows.filter(subject_id=bad)["state"]) == {"failed"}
    assert {meter: "complete" for meter in meters_of(one) if meter != bad} == {
        row["subject_id"]: row["state"] for row in rows.iter_rows(named=True) if row["subject_id"] != bad
    }
