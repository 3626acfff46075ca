"""One site after the other: who goes first, what is told meanwhile, and what is in the lake when a run is stopped."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace
from datetime import date, timedelta
from threading import Event, Thread

import pytest
from ingest_bench import ENDPOINTS

from climkit_pipeline.errors import ConfigurationError
from climkit_pipeline.ingest.reports import IngestRequest, SetAside
from climkit_pipeline.lake.schemas import DATASETS
from climkit_pipeline.simulator import Fault

DAY = date(2026, 6, 10)
DAYS = DAY, DAY + timedelta(days=2)
TWO = {"sites": 2, "meters": 2}
DEADLINE = 120


def dates(first, last):
    return {first + timedelta(days=n) for n in range((last - first).days + 1)}


class Told:
    """Days as they are told of, by dataset, and what was noted in words."""

    def __init__(self):
        self.days = {}
        self.notes = []

    def tell(self, dataset, days):
        assert not set(days) & self.days.setdefault(dataset, set()), "told twice"
        self.days[dataset] |= set(days)

    def expect(self, calls):
        self.expected = calls

    def planned(self, calls):
        pass

    def called(self, label, calls=1):
        pass

    def note(self, label):
        self.notes.append(label)

    def waiting(self, reason):
        pass


def sites_of(calls):
    """The sites in the order in which series were asked for, each change once."""
    order = []
    for call in calls:
        if call.endpoint in ENDPOINTS and order[-1:] != [call.site_id]:
            order.append(call.site_id)
    return order


def test_a_run_finishes_a_site_before_the_next_and_tells_days_with_the_last(bench):
    one = bench(world=TWO)
    told = Told()
    at_second = []
    second = one.world.sites[1].site_id

    def watch(request):
        if request.endpoint in ENDPOINTS and request.site_id == second and not at_second:
            at_second.append(dict(told.days))

    one.server.interceptor = watch
    ingestion = one.new_ingestion()
    assert ingestion.run(IngestRequest(*DAYS), "mine", told.tell, told).is_good
    assert sites_of(one.server.calls) == [site.site_id for site in one.world.sites]
    assert at_second == [{}]
    assert told.days == {name: dates(*DAYS) for name in DATASETS}
    assert told.expected == len(one.series_calls())
    # What is complete is told of at once by the next run, which makes no call at all.
    one.server.forget_calls()
    again = Told()
    assert one.new_ingestion().run(IngestRequest(*DAYS), "again", again.tell, again).is_good
    assert again.days == told.days
    assert one.server.calls == []


def test_what_was_received_before_somebody_stopped_the_run_is_in_the_lake(bench):
    one = bench(world=TWO)
    first, second = one.world.sites
    answers = []

    class Stopping(Told):
        def called(self, label, calls=1):
            answers.extend([label] * label.startswith("meter_intervals"))
            if len(answers) == len(first.meters) + 1:
                raise KeyboardInterrupt

    told = Stopping()
    request = IngestRequest(*DAYS, datasets=("meter_intervals",))
    with pytest.raises(KeyboardInterrupt):
        one.new_ingestion().run(request, "stopped", told.tell, told)
    assert told.days == {}
    received = [meter.id for meter in first.meters] + [second.meters[0].id]
    assert set(one.coverage("meter_intervals").filter(state="complete")["subject_id"]) == set(received)
    _, asked = one.run_counted(*DAYS, datasets=("meter_intervals",))
    assert {call.subject for call in asked} == {second.meters[1].id}


@contextmanager
def in_background(run):
    thread = Thread(target=run, daemon=True)
    thread.start()
    try:
        yield thread
    finally:
        thread.join(DEADLINE)
        assert not thread.is_alive()


def test_the_morning_goes_before_a_history_and_waits_for_the_site_in_progress_alone(bench):
    """The morning's run waited for a history of years, up to a day, without a word."""
    one = bench(world={"sites": 3, "meters": 2})
    ids = [site.site_id for site in one.world.sites]
    history, morning = one.new_ingestion(), one.new_ingestion()
    begun, go_on = Event(), Event()
    of_history, of_morning = Told(), Told()

    def hold(request):
        if request.endpoint in ENDPOINTS and request.t_s.month == 5 and not begun.is_set():
            begun.set()
            assert go_on.wait(DEADLINE)

    def note(label):
        of_morning.notes.append(label)
        if label.startswith("waiting for site"):
            go_on.set()

    of_morning.note = note
    one.server.interceptor = hold
    past = IngestRequest(date(2026, 5, 10), date(2026, 5, 12), datasets=("meter_intervals",))
    urgent = IngestRequest(*DAYS, datasets=("meter_intervals",), is_urgent=True)
    with in_background(lambda: history.run(past, "history", of_history.tell, of_history)):
        assert begun.wait(DEADLINE)
        assert morning.run(urgent, "morning", of_morning.tell, of_morning).is_good
    order = sites_of_months(one.series_calls())
    # A call is on record when it is answered: the one that was held comes after the sites that were free.
    assert order == [(6, ids[1]), (6, ids[2]), (5, ids[0]), (6, ids[0]), (5, ids[1]), (5, ids[2])]
    assert any("run history since" in note for note in of_morning.notes)
    assert any("run morning since" in note for note in of_history.notes)
    assert of_history.days == {"meter_intervals": dates(past.first_day, past.last_day)}


def sites_of_months(calls):
    order = []
    for call in calls:
        key = ((call.t_s + timedelta(days=1)).month, call.site_id)
        if order[-1:] != [key]:
            order.append(key)
    return order


def test_days_that_have_not_begun_are_left_out_or_refused(bench, clock):
    """A tick of the future made days green that had not happened, and nothing would ask for them again."""
    one = bench(world={"sites": 1, "meters": 1})
    today = clock.at.date()
    told = Told()
    report = one.new_ingestion().run(
        IngestRequest(today - timedelta(days=2), today + timedelta(days=5)), "x", told.tell
    )
    assert report.request.last_day == today
    assert told.days["meter_intervals"] <= {today - timedelta(days=2), today - timedelta(days=1)}
    with pytest.raises(ConfigurationError, match="have not begun"):
        one.new_ingestion().run(IngestRequest(today + timedelta(days=1), today + timedelta(days=2)))


def test_a_meter_that_was_set_aside_keeps_no_day_bad_and_is_counted_apart(bench, faults):
    one = bench(world={"sites": 1, "meters": 3})
    site, dead = one.world.sites[0], one.world.sites[0].meters[0]
    faults.add(
        lambda request: request.endpoint == "meter_data" and request.subject == dead.id, Fault("status", status=403)
    )
    told = Told()
    request = IngestRequest(*DAYS, datasets=("meter_intervals",))
    report = one.new_ingestion().run(request, "bad", told.tell)
    assert report.failed_days("meter_intervals") == dates(*DAYS)
    assert told.days == {}
    (line,) = report.reasons("meter_intervals", DAY)
    assert dead.id in line
    assert site.name in line
    aside = SetAside(site.site_id, dead.id, DAY, DAY + timedelta(days=1))
    one.server.forget_calls()
    report = one.new_ingestion().run(replace(request, set_aside=(aside,)), "good", told.tell)
    # What failed of it is asked for by the look-back alone.
    assert {(call.subject, call.endpoint) for call in one.server.calls if call.endpoint == "meter_data"} == {
        (dead.id, "meter_data")
    }
    assert report.failed_days("meter_intervals") == {DAYS[1]}
    assert told.days == {"meter_intervals": {DAY, DAY + timedelta(days=1)}}
    assert report.states["meter_intervals"][DAY]["set_aside"] == 1
