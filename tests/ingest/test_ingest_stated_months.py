"""Whole months, asked for with frequency M: what they save before a history, and what they find afterwards."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, date, datetime, timedelta

import polars as pl
import pytest
from ingest_bench import lacking, read_lake, rewriting, stamp

from climkit_pipeline.ingest.audit import SUMS_SCHEMA, audit
from climkit_pipeline.ingest.progress import CallProgress
from climkit_pipeline.ingest.reports import IngestRequest, StatedStep
from climkit_pipeline.simulator import DataFault, Fault
from climkit_pipeline.simulator.account_forms import AccountForm

PAIR = {"sites": 1, "meters": 2}
METERS = {"datasets": ("meter_intervals",)}
JULY = date(2026, 7, 1), date(2026, 7, 31)
DAY, DAY_BEFORE = (date(2026, 9, 8), date(2026, 9, 8)), (date(2026, 9, 7), date(2026, 9, 7))


def month(number):
    first = date(2026, number, 1)
    return first, (first + timedelta(days=32)).replace(day=1) - timedelta(days=1)


def start_of(number):
    """Some days of a month, where it need not be known as a whole: only the one before a meter's first is."""
    first = date(2026, number, 1)
    return first, first + timedelta(days=3)


def about(meter, *frequencies):
    return lambda request: (
        request.endpoint == "meter_data" and request.subject == meter.id and request.sampling_frequency in frequencies
    )


def monthly(calls):
    return [call for call in calls if call.sampling_frequency == "M"]


def quarterly(calls):
    return Counter(call.subject for call in calls if call.sampling_frequency == "15T")


# --- before a history ----------------------------------------------------------------------------------------------


@pytest.fixture
def long_ago(bench, faults):
    """A pair of meters, one of which is there from June on, in a history of which the requests are a part."""
    one = bench(world=PAIR | {"created": date(2025, 1, 1)})
    old, new = one.world.sites[0].meters
    installed = datetime(2026, 5, 31, 22, tzinfo=UTC)
    # A quarter-hour is stamped at its end, a month at its start.
    faults.add(about(new, "15T"), rewriting(lambda rows: [row for row in rows if stamp(row) > installed]))
    faults.add(about(new, "M"), rewriting(lambda rows: [row for row in rows if stamp(row) >= installed]))
    return one, old, new


def test_months_before_a_meters_first_are_empty_without_a_call(long_ago):
    """A meter of last summer in a history of years cost a call for each month before it."""
    one, old, new = long_ago
    history = METERS | {"history_from": date(2025, 5, 1)}
    _, june = one.run_counted(*start_of(6), **history)
    assert Counter(call.subject for call in monthly(june)) == {old.id: 1, new.id: 1}
    _, may = one.run_counted(*month(5), **history)
    assert quarterly(may) == {old.id: 1, new.id: 1}, "the month before the first one stated is asked for all the same"
    report, april = one.run_counted(*start_of(4), **history)
    assert report.is_good
    assert quarterly(april) == {old.id: 1}
    assert monthly(may + april) == []
    coverage = one.coverage("meter_intervals").filter(pl.col("day").is_between(*start_of(4)))
    filed = coverage.filter(subject_id=new.id)
    assert set(filed["state"]) == {"empty"}
    assert filed["detail"].unique().to_list() == ["no data, by the answer of whole months: the first is 2026-06"]
    assert set(coverage.filter(subject_id=old.id)["state"]) == {"complete"}
    assert one.run_counted(*start_of(4), **history)[1] == []
    _, again = one.run_counted(*start_of(4), **METERS, refetch=True)
    assert quarterly(again) == {old.id: 1, new.id: 1}, "whoever wants it asked again gets it asked again"


def test_an_answer_of_months_that_is_cut_at_its_front_is_not_believed(long_ago, faults):
    """It holds the newest rows of its window alone: just what a meter looks like that did not exist before."""
    one, old, _ = long_ago
    faults.rules.insert(0, (about(old, "M"), rewriting(lambda rows: rows[-1:]), None))
    history = METERS | {"history_from": date(2025, 5, 1)}
    for days in (start_of(6), month(5), start_of(4), start_of(3)):
        report, calls = one.run_counted(*days, **history)
        assert report.is_good
        assert old.id in quarterly(calls)


def test_a_range_that_begins_with_data_tells_nothing_of_the_months_before(bench, faults):
    """An audit may ask from July on; a flat that stood empty in June is no meter that began in July."""
    one = bench(world=PAIR | {"created": date(2025, 1, 1)})
    flat = one.world.sites[0].meters[0]
    june = datetime(2026, 5, 31, 22, tzinfo=UTC), datetime(2026, 6, 30, 22, tzinfo=UTC)
    faults.add(about(flat, "15T"), lacking(*june))
    audit(one.new_ingestion(), JULY[0], month(8)[1], pl.DataFrame(schema=SUMS_SCHEMA))
    one.run(*month(6), **METERS)
    _, calls = one.run_counted(*start_of(5), **METERS)
    assert quarterly(calls)[flat.id] == 1
    assert one.states("meter_intervals", *start_of(5)) == {"complete"}


def test_a_short_range_and_an_account_that_refuses_months_are_asked_as_before(long_ago, faults):
    one, old, new = long_ago
    _, calls = one.run_counted(*start_of(6), **METERS, history_from=date(2026, 3, 1))
    assert monthly(calls) == []
    faults.rules.insert(0, (lambda request: request.sampling_frequency == "M", Fault("http_400"), None))
    report, calls = one.run_counted(*start_of(4), **METERS, history_from=date(2025, 2, 1))
    assert report.is_good
    assert quarterly(calls).keys() == {old.id, new.id}


@pytest.mark.parametrize("kind", ["http_404", "http_500"])
def test_months_that_are_not_answered_are_not_asked_for_with_each_part_of_a_history(bench, faults, kind):
    one = bench(world={"sites": 1, "meters": 6, "created": date(2025, 1, 1)})
    faults.add(lambda request: request.sampling_frequency == "M", Fault(kind))
    ingestion = one.new_ingestion()
    one.run_with(ingestion, *DAY, **METERS, history_from=date(2025, 2, 1))
    asked = {call.subject for call in monthly(one.series_calls())}
    assert len(asked) == 3, "three in a row tell of the others"
    one.server.forget_calls()
    one.run_with(ingestion, *DAY_BEFORE, **METERS, history_from=date(2025, 2, 1))
    assert monthly(one.series_calls()) == []


def test_a_meter_that_refuses_what_begins_before_it_is_audited_since_then(bench):
    """The start date lies before most meters of an account; what begins there was refused, and nothing was audited."""
    one = bench(
        world=PAIR | {"data_faults": (DataFault("appears", 0, 0, date(2026, 3, 10)),)},
        server={"account": AccountForm(refuses_early=True)},
    )
    late = one.world.sites[0].meters[0].id
    assert one.run(date(2026, 3, 5), date(2026, 3, 12), **METERS).is_good
    one.server.forget_calls()
    audit(one.new_ingestion(), date(2026, 1, 1), month(8)[1], pl.DataFrame(schema=SUMS_SCHEMA))
    assert {call.status for call in one.series_calls()} == {200}
    stated = read_lake(one.data_dir, "stated_months", "data").filter(meter_id=late)
    assert sorted(stated["billing_month"]) == [month(number)[0] for number in range(4, 9)]
    assert stated["is_stated"].all()


def test_meters_that_are_dead_keep_no_other_meter_of_their_site_from_being_audited(bench, faults):
    """Three of them in a row, and those listed after them were left out of every audit, and nobody was told."""
    one = bench(world={"sites": 1, "meters": 6})
    meters = [meter.id for meter in one.world.sites[0].meters]
    dead = meters[1:4]
    faults.add(lambda request: request.subject in dead, Fault("http_404"))
    report = audit(one.new_ingestion(), JULY[0], month(8)[1], pl.DataFrame(schema=SUMS_SCHEMA))
    assert set(read_lake(one.data_dir, "stated_months", "data")["meter_id"]) == set(meters) - set(dead)
    assert "nothing of 3 meters" in str(report)


def test_an_audit_says_how_many_calls_are_left_before_it_asks(bench):
    one = bench(world={"sites": 1, "meters": 6})
    shown = []
    progress = CallProgress(lambda label, done, total, *_: shown.append((done, total)), 1.0)
    audit(one.new_ingestion(progress), *JULY, pl.DataFrame(schema=SUMS_SCHEMA))
    asked = len(one.server.calls)
    assert {total for done, total in shown if done > 3} == {asked - 2}, "all but the log-in and the list of sites"
    assert shown[-1] == (asked - 2, asked - 2)


@pytest.mark.parametrize("stamped", ["soon", "2026-05-01 00:00:00"])
def test_months_whose_stamps_cannot_be_read_end_no_run(bench, faults, stamped):
    """The question only saves calls: without an answer that can be read, everything is asked for as before."""
    one = bench(world=PAIR | {"created": date(2025, 1, 1)})
    faults.add(lambda request: request.sampling_frequency == "M",
               rewriting(lambda rows: [row | {"timestamp": stamped} for row in rows]))  # fmt: skip
    report, calls = one.run_counted(*DAY, **METERS, history_from=date(2025, 2, 1))
    assert report.is_good
    assert len(quarterly(calls)) == 2


def test_a_history_of_other_series_asks_for_no_months_of_meters(bench):
    """What they tell leaves out series of meters alone."""
    one = bench(world=PAIR | {"created": date(2025, 1, 1)})
    _, calls = one.run_counted(*DAY, datasets=("site_intervals",), history_from=date(2025, 2, 1))
    assert monthly(calls) == []


@pytest.mark.parametrize("mode", ["always", "never"])
def test_a_plan_counts_the_questions_about_months_that_are_asked(bench, mode):
    one = bench(
        world={"sites": 1, "meters": 9, "created": date(2025, 1, 1)}, server={"wide_columns": True}, site_answers=mode
    )
    ingestion = one.new_ingestion()
    request = IngestRequest(*DAY, **METERS, history_from=date(2025, 2, 1))
    planned = ingestion.survey_calls(request, ingestion.listings_for(request).sites)
    asked = monthly(one.run_counted(*DAY, **METERS, history_from=date(2025, 2, 1))[1])
    assert planned == len(asked)
    assert (planned < 9) == (mode == "always")


# --- the audit -----------------------------------------------------------------------------------------------------


def sums(one):
    """What the stored intervals add up to, month by month."""
    rows = one.current("meter_intervals").group_by(
        "site_id", "meter_id", pl.col("day").dt.truncate("1mo").alias("billing_month")
    )
    return rows.agg(intervals_total=pl.col("total").sum()).select(list(SUMS_SCHEMA))


def audited(one):
    one.server.forget_calls()
    ingestion = one.new_ingestion()
    return audit(ingestion, JULY[0], month(8)[1], sums(one)), one.series_calls()


def raised(by, first, last):
    """Rows of a series in which what lies between two instants is more than it was."""

    def change(rows):
        inside = [row for row in rows if first < stamp(row) <= last]
        return [row | {"total": row["total"] + by} if row in inside[:1] else row for row in rows]

    return rewriting(change)


def test_an_audit_finds_a_month_that_was_corrected_and_asks_for_that_meters_month_alone(bench, faults):
    """A correction of last summer is not seen by a look-back of two weeks."""
    one = bench(world=PAIR)
    one.run(JULY[0], month(8)[1], **METERS)
    flat = one.world.sites[0].meters[0]
    report, calls = audited(one)
    assert (report.months, report.findings) == (4, [])
    assert [call.sampling_frequency for call in calls] == ["M", "M"]
    corrected = datetime(2026, 7, 10, tzinfo=UTC), datetime(2026, 7, 11, tzinfo=UTC)
    start = datetime(2026, 6, 30, 21, tzinfo=UTC)
    faults.add(about(flat, "15T"), raised(5.0, *corrected))
    faults.add(about(flat, "M"), raised(5.0, start, start + timedelta(hours=2)))
    before = sums(one).filter(meter_id=flat.id, billing_month=JULY[0])["intervals_total"].item()
    report, calls = audited(one)
    assert [(finding.code, finding.subject_id) for finding in report.findings] == [("month_differs", flat.id)]
    assert quarterly(calls) == {flat.id: 1}
    after = sums(one).filter(meter_id=flat.id, billing_month=JULY[0])["intervals_total"].item()
    assert after == pytest.approx(before + 5.0)
    stated = read_lake(one.data_dir, "stated_months", "data").sort("stated_at_utc")
    assert stated.filter(meter_id=flat.id, billing_month=JULY[0])["differs_from"].to_list() == [None, "last answer"]
    assert set(read_lake(one.data_dir, "api_calls", "data").drop_nulls("purpose")["purpose"]) == {"history", "audit"}
    report, calls = audited(one)
    assert (report.findings, quarterly(calls)) == ([], {})


def test_what_an_audit_asks_again_is_read_with_the_step_that_somebody_stated(bench, faults):
    """A line of ``meters.csv`` says quarter-hours where rows stand an hour apart: asked again, they became hours."""
    one = bench(world={"sites": 1, "meters": 6})
    site = one.world.sites[0]
    heat = next(meter for meter in site.meters if meter.type == "heating")
    faults.add(about(heat, "15T"), rewriting(lambda rows: rows[::4]))
    like = IngestRequest(
        *JULY, **METERS, stated_steps=(StatedStep(site.site_id, heat.id, date(2026, 1, 1), date(2026, 12, 31), 15),)
    )
    one.new_ingestion().run(like)
    before = one.current("meter_intervals").filter(meter_id=heat.id)
    assert set(before["interval_end_utc"] - before["interval_start_utc"]) == {timedelta(minutes=15)}
    report = audit(one.new_ingestion(), *JULY, sums(one), like)
    assert heat.id in {finding.subject_id for finding in report.findings}
    assert one.current("meter_intervals").filter(meter_id=heat.id).equals(before)


def test_a_month_that_is_never_the_sum_of_its_intervals_is_asked_for_once(bench, faults):
    """Whether it is, is not documented: without an end, each week's audit would ask for the whole past."""
    one = bench(world=PAIR)
    one.run(JULY[0], month(8)[1], **METERS)
    faults.add(lambda request: request.sampling_frequency == "M",
               rewriting(lambda rows: [row | {"total": row["total"] + 1} for row in rows]))  # fmt: skip
    report, calls = audited(one)
    assert len(report.findings) == 4
    assert quarterly(calls).total() == 4
    findings = read_lake(one.data_dir, "findings", "data").filter(code="month_differs")
    days = findings.select("subject_id", "first_day", "last_day")
    meters = [meter.id for meter in one.world.sites[0].meters]
    assert set(days.rows()) == {(meter, *month(number)) for meter in meters for number in (7, 8)}, "each is told"
    report, calls = audited(one)
    assert (report.findings, quarterly(calls)) == ([], {})
    stated = read_lake(one.data_dir, "stated_months", "data")
    assert set(stated["differs_from"]) == {"intervals"}


def test_a_difference_that_could_not_be_asked_about_is_asked_about_by_the_next_audit(bench, faults):
    """A correction must not be lost because the API refused one call."""
    one = bench(world=PAIR)
    one.run(*JULY, **METERS)
    flat = one.world.sites[0].meters[0]
    audited(one)
    start = datetime(2026, 6, 30, 21, tzinfo=UTC)
    faults.add(about(flat, "15T"), Fault("http_403"), times=2)
    faults.add(about(flat, "M"), raised(5.0, start, start + timedelta(hours=2)))
    report, _ = audited(one)
    assert not report.reports[0].is_good
    report, calls = audited(one)
    assert quarterly(calls)[flat.id] == 1
    assert all(each.is_good for each in report.reports)
    assert quarterly(audited(one)[1]) == {}


def test_data_that_come_late_to_a_month_known_to_be_empty_are_fetched_after_an_audit(long_ago, faults):
    """Filed as empty without a call, the month would stay so for ever."""
    one, _, new = long_ago
    for days in (start_of(6), month(5), start_of(4)):
        one.run(*days, **METERS, history_from=date(2025, 5, 1))
    assert one.states("meter_intervals", *month(4)) == {"complete", "empty"}
    faults.rules.clear()
    one.server.forget_calls()
    audit(one.new_ingestion(), month(4)[0], month(6)[1], pl.DataFrame(schema=SUMS_SCHEMA))
    assert quarterly(one.series_calls()) == {new.id: 2}
    assert one.states("meter_intervals", *month(4)) == {"complete"}


def test_the_part_of_a_month_that_was_stated_while_it_ran_is_no_total(bench, faults, clock):
    one = bench(world=PAIR | {"created": date(2025, 1, 1)})
    october, now = datetime(2026, 9, 30, 22, tzinfo=UTC), clock.at
    clock.at = datetime(2026, 10, 5, 8, tzinfo=UTC)
    part = {"timestamp": "2026-10-01 00:00:00+02:00", "total": 1.5, "self": 0.5, "ext": 1.0}
    running = rewriting(lambda rows: [*(row for row in rows if stamp(row) < october), part])
    faults.add(lambda request: request.sampling_frequency == "M", running)
    one.run(date(2026, 10, 3), **METERS, history_from=date(2025, 5, 1))
    faults.rules.clear()
    clock.at = now
    report = audit(one.new_ingestion(), date(2026, 9, 1), date(2026, 10, 31), pl.DataFrame(schema=SUMS_SCHEMA))
    assert report.months == 4
    assert report.findings == []
