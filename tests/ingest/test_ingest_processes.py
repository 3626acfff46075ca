"""Several real processes on one data directory: killed, restarted, at the same time."""

from __future__ import annotations

import os
import shutil
import signal
from contextlib import ExitStack
from datetime import date, timedelta
from threading import Barrier

import pytest
from ingest_bench import ENDPOINTS, QUARTER, early_by

from climkit_pipeline.files import file_lock
from climkit_pipeline.ingest.turns import site_lock
from climkit_pipeline.lake.layout import Layout
from climkit_pipeline.lake.schemas import METER_INTERVALS

DAY = date(2026, 2, 20)
DAYS = DAY, DAY + timedelta(days=2)
SMALL = {"sites": 1, "meters": 3}
TWO = {"meters": 3}
DEADLINE = 600


def killing(process_id, at):
    """An interceptor that kills a process instead of answering its ``at``-th series call."""
    seen = []

    def intercept(request):
        if request.endpoint in ENDPOINTS:
            seen.append(request)
            if len(seen) == at:
                os.kill(process_id(), signal.SIGKILL)

    return intercept


@pytest.fixture(scope="module")
def expected():
    """What an undisturbed run leaves and asks: worked out by the first test that needs it."""
    return []


@pytest.fixture
def undisturbed(bench, expected):
    """What the lake is when nothing goes wrong, and the windows that it takes."""
    if not expected:
        one = bench(world=SMALL, directory="undisturbed")
        report, calls = one.run_counted(*DAYS)
        assert report.is_good
        expected.extend((one.meaning(), windows(calls)))
    return expected


def windows(calls):
    return sorted((call.endpoint, call.subject, call.t_s, call.t_e) for call in calls)


@pytest.mark.parametrize("at", [1, 9])
def test_a_run_killed_between_two_calls_costs_at_most_the_call_in_flight(bench, undisturbed, at):
    """Answers kept in memory until the end of the month cost a killed run its whole hour."""
    lake, asked = undisturbed
    one = bench(world=SMALL)
    process = None
    one.server.interceptor = killing(lambda: process.pid, at)
    process = one.start_process(*DAYS)
    assert process.wait(DEADLINE) == -signal.SIGKILL
    landed = [name for name in one.landed() if name.endswith(".answer.gz")]
    assert len(landed) == at - 1, "each answer is on disk before the next call is made"
    one.server.interceptor = None
    one.clock.at += timedelta(minutes=5)
    report = one.run(*DAYS)
    assert report.is_good
    spent = windows(one.series_calls())
    assert set(spent) == set(asked)
    assert len(spent) <= len(asked) + 1
    assert one.meaning() == lake
    assert one.landed() == []


# Day files of series only, a day's data before its coverage: 6 of site_intervals, 6 of meter_intervals, 8 and 8.
@pytest.mark.parametrize("rename", [1, 2, 10, 28])
def test_a_run_killed_while_it_writes_is_made_good_by_the_next(bench, undisturbed, rename):
    """Killed between data and coverage, a day was counted as confirmed twice, or as never changed."""
    lake, asked = undisturbed
    one = bench(world=SMALL)
    process = one.start_process(*DAYS, die_at_rename=rename)
    assert process.wait(DEADLINE) == -signal.SIGKILL
    one.clock.at += timedelta(minutes=5)
    assert one.run(*DAYS).is_good
    assert one.meaning() == lake
    assert len(one.series_calls()) <= len(asked) + 1
    assert one.landed() == []
    assert one.coverage("meter_intervals")["last_changed_at_utc"].null_count() == 0


def test_a_commit_repeated_after_its_answers_were_counted_counts_them_once(bench):
    """Two equal pulls close a month: one pull, committed twice, must not count as two."""
    one = bench(world=SMALL)
    assert one.run(*DAYS).is_good
    assert set(one.coverage("meter_intervals")["equal_answers"]) == {1}
    one.clock.at += timedelta(minutes=5)
    process = None
    one.server.interceptor = killing(lambda: process.pid, 9)
    process = one.start_process(*DAYS, refetch=True)
    assert process.wait(DEADLINE) == -signal.SIGKILL
    (folder,) = (one.data_dir / "landing").iterdir()
    copy = shutil.copytree(folder, one.data_dir / "kept")
    for _ in range(2):
        one.new_ingestion().recover()
        assert one.landed() == []
        assert set(one.coverage("meter_intervals")["equal_answers"]) == {2}
        # As if the process had died after coverage was written, before its answers were deleted.
        shutil.copytree(copy, folder)


def test_two_processes_on_overlapping_ranges_ask_no_window_twice(bench):
    """Two terminals, one backfill each: every day in both ranges was paid for twice."""
    whole = DAY, DAY + timedelta(days=3)
    ranges = DAYS, (DAYS[1], whole[1])
    reference = bench(world={"meters": 2}, directory="reference")
    assert reference.run(*whole).is_good
    one = bench(world={"meters": 2})
    processes = [one.start_process(*range_) for range_ in ranges]
    assert [process.wait(DEADLINE) for process in processes] == [0, 0]
    seen = set()
    for call in one.series_calls():
        if call.endpoint in ("meter_data", "site_data"):
            zone = one.world.site(call.site_id).zone
            day, end = (
                (call.t_s + early_by(call, one.world)).astimezone(zone).date(),
                (call.t_e - QUARTER).astimezone(zone).date(),
            )
            while day < end:
                assert (call.site_id, call.subject, call.endpoint, day) not in seen
                seen.add((call.site_id, call.subject, call.endpoint, day))
                day += timedelta(days=1)
    asked = windows(one.series_calls())
    assert len(asked) == len(set(asked))
    assert rows_of(one) == rows_of(reference)
    assert one.landed() == []
    assert one.run_counted(*whole)[1] == []


def rows_of(one):
    """The series, and the snapshots of days long past; today's are two listings."""
    lake = one.meaning(coverage=False)
    return {name: [row for row in rows if row[-2] <= DAY + timedelta(days=3)] for name, rows in lake.items()}


def test_a_run_waits_for_the_site_that_another_works_on_and_does_the_others_first(bench):
    """Waiting while holding the free sites' locks, two runs waited for each other for ever."""
    one = bench(world=TWO)
    held, free = one.world.sites
    lock = site_lock(Layout(one.data_dir), METER_INTERVALS.name, held.site_id)
    order = []

    def intercept(request):
        if request.endpoint in ENDPOINTS:
            order.append(request.site_id)
            if order.count(free.site_id) == 3 and not released:
                released.append(True)
                other.close()

    released = []
    one.server.interceptor = intercept
    with ExitStack() as other:
        other.enter_context(file_lock(lock))
        report = one.run(*DAYS, datasets=("meter_intervals",))
    assert report.is_good
    assert order == [free.site_id] * 3 + [held.site_id] * 3


def test_two_processes_that_end_each_others_tokens_both_finish(bench):
    """An API with one session per account: each new log-in took the other's token, and one of the two gave up."""
    one = bench(world=TWO, server={"one_session": True})
    both = Barrier(2)

    def meet(request):
        if request.endpoint == "auth" and not met:
            both.wait(DEADLINE)
            met.append(request)

    met = []
    one.server.interceptor = meet  # the first log-ins are answered together, so one of them ends the other's token
    processes = [one.start_process(DAY, DAY, site_ids=[site.site_id]) for site in one.world.sites]
    assert [process.wait(DEADLINE) for process in processes] == [0, 0]
    refused = [call for call in one.server.calls if call.status == 401]
    assert refused, "they did not meet"
    answered = [call for call in one.series_calls() if call.status == 200]
    assert len(windows(answered)) == len(set(windows(answered)))
    assert {call.site_id for call in answered} == {site.site_id for site in one.world.sites}
    assert sum(call.endpoint == "auth" for call in one.server.calls) <= 2 + len(refused)
    assert one.landed() == []
