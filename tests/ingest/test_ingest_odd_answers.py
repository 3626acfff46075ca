"""Answers that nobody expected: what can be had of them is had, and what cannot is said."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal

import pytest
from ingest_bench import QUARTER, quarters, rewriting, stamp

from climkit_pipeline.ingest import creation
from climkit_pipeline.ingest.reports import StatedStep
from climkit_pipeline.lake.layout import Layout
from climkit_pipeline.simulator import AccountForm, DataFault, Fault

OCTOBER = date(2026, 10, 1), date(2026, 10, 31)
ONE_SITE = {"sites": 1, "meters": 2}


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


@pytest.mark.parametrize(("endpoint", "value"), [("meter_data", "total"), ("meter_data_raw", "en_im")])
def test_numbers_under_another_name_than_the_value_are_said(bench, faults, endpoint, value):
    """A portal moves a day to other fields when it is estimated: intervals without a value, and nobody said why."""
    one = bench(world={"sites": 1, "meters": 2})
    meter = one.world.sites[0].meters[0].id
    first = stamp_of(DAYS[1], 6, one)

    def moved(rows):
        for row in rows:
            is_estimate = first < stamp(row) <= first + timedelta(hours=1)
            empty = {name: None for name in row if name != "timestamp"}
            yield {**row, **empty, "estimated": row[value], "quality": "L3"} if is_estimate else {**row, "load": 1.5}

    faults.add(lambda request: request.endpoint == endpoint and request.subject == meter, rewriting(moved))
    dataset = "meter_intervals" if endpoint == "meter_data" else "meter_indices"
    report = one.run(*DAYS, datasets=(dataset,))
    assert found(report) == {("value_elsewhere", meter): 4}
    (sample,) = (each.finding.samples for each in report.committed.findings)
    assert sample == (f"estimated from {(first + QUARTER).isoformat()}",)
    rows = one.current(dataset).filter(meter_id=meter)
    assert rows.filter(rows["extra"].str.contains("estimated")).height == 4


@pytest.mark.parametrize("days", [(date(2026, 10, 24), date(2026, 10, 26)), (date(2026, 3, 28), date(2026, 3, 30))])
def test_the_last_row_of_a_day_may_be_stamped_24_00(bench, faults, days):
    """Each day lacked its last quarter-hour, and each month its closing index."""
    one = bench(world={"sites": 1, "meters": 2})
    site = one.world.sites[0]
    meter = site.meters[0].id

    def at_24_00(row):
        local = stamp(row).astimezone(site.zone)
        before = (local - timedelta(hours=1)).isoformat(sep=" ")  # of that day, with the offset that it ends with
        return {**row, "timestamp": f"{before[:11]}24:00:00{before[19:]}"} if local.hour == local.minute == 0 else row

    faults.add(lambda request: request.endpoint in {"meter_data", "meter_data_raw"},
               rewriting(lambda rows: map(at_24_00, rows)))  # fmt: skip
    report = one.run(*days, datasets=("meter_intervals", "meter_indices"))
    assert found(report) == {}
    rows = one.current("meter_intervals").filter(meter_id=meter).sort("interval_start_utc")
    assert rows["interval_start_utc"].to_list() == quarters(one.world, site.site_id, *days)
    truth = one.world.truth_between(site.site_id, meter, *days)
    assert exact(rows["total"]) == truth.total
    readings = one.current("meter_indices").filter(meter_id=meter).sort("read_at_utc")
    assert readings["read_at_utc"][-1] == rows["interval_end_utc"][-1]
    assert Decimal(repr(readings["index_import_kwh"][-1])) == truth.index_end["en_im"]


# --- intervals of several lengths ----------------------------------------------------------------------------------

WATER = 5
"""The position of a water meter."""
LATE_OCTOBER = date(2026, 10, 20), OCTOBER[1]


def hourly(*days):
    return {"sites": 1, "meters": 6, "data_faults": (DataFault("hourly", 0, WATER, *days),)}


@pytest.mark.parametrize(
    ("coarse", "range_"),
    [
        ((date(2026, 10, 20), date(2026, 10, 23)), LATE_OCTOBER),
        ((date(2026, 10, 24), date(2026, 10, 31)), LATE_OCTOBER),
        ((date(2026, 10, 25), date(2026, 10, 25)), LATE_OCTOBER),
        ((date(2026, 3, 24), date(2026, 3, 30)), (date(2026, 3, 20), date(2026, 3, 31))),
    ],
    ids=["until the 23rd", "from the 24th", "the day of 25 hours", "around the day of 23 hours"],
)
def test_hours_and_quarter_hours_in_one_answer_each_keep_their_length(bench, faults, coarse, range_):
    """Hourly rows were filed as quarter-hours: a month that never became ready, and grew a row with each backfill."""
    one = bench(world=hourly(*coarse))
    site = one.world.sites[0]
    meter = site.meters[WATER].id
    faults.list_only(meter)
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
    faults.list_only(meter)
    first, last = stamp_of(DAYS[0], 6, one), stamp_of(DAYS[0], 16, one)

    def hole(rows):
        return (row for row in rows if not first < stamp(row) < last or stamp(row).minute == 0)

    faults.add(lambda request: request.subject == meter and request.endpoint == "meter_data", rewriting(hole))
    one.run(*DAYS, datasets=("meter_intervals",))
    rows = one.current("meter_intervals").filter(meter_id=meter)
    assert set(rows["interval_end_utc"] - rows["interval_start_utc"]) == {QUARTER}
    assert one.states("meter_intervals", DAYS[0]) == {"gap"}


def test_what_somebody_states_of_a_step_holds_where_rows_cannot_tell(bench, faults):
    """interval_minutes in meters.csv changed nothing of rows that stand too far apart to tell their own length."""
    one = bench(world={"sites": 1, "meters": 6})
    site = one.world.sites[0]
    meter = site.meters[WATER].id
    faults.list_only(meter)

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


# --- windows that begin too early ----------------------------------------------------------------------------------

HALF_JUNE, LATE_MAY = (date(2026, 6, 1), date(2026, 6, 16)), (date(2026, 5, 20), date(2026, 5, 31))
METERS = ("meter_intervals", "meter_indices")


def calls_of(calls, meter, endpoint="meter_data"):
    return [call for call in calls if (call.endpoint, call.subject) == (endpoint, meter)]


@pytest.mark.parametrize("day", [2, 12])
def test_a_meter_that_refuses_what_begins_before_it_gives_all_it_has_with_few_calls(bench, day):
    """We halved from the oldest side, stopped after two refused days, and had none of its rows, at every backfill."""
    activated = date(2026, 6, day)
    one = bench(
        world={"sites": 1, "meters": 1, "data_faults": (DataFault("appears", 0, 0, activated),)},
        server={"account": AccountForm(refuses_early=True)},
    )
    site = one.world.sites[0]
    meter = site.meters[0].id
    report, calls = one.run_counted(*HALF_JUNE, datasets=METERS)
    assert report.is_good
    days = activated, HALF_JUNE[1]
    rows = one.current("meter_intervals").filter(meter_id=meter).sort("interval_start_utc")
    assert rows["interval_start_utc"].to_list() == quarters(one.world, site.site_id, *days)
    assert exact(rows["total"]) == one.world.truth_between(site.site_id, meter, *days).total
    readings = one.current("meter_indices").filter(meter_id=meter)
    assert readings.height == len(rows)
    assert len(calls_of(calls, meter)) <= 16
    assert len(calls_of(calls, meter, "meter_data_raw")) <= 16
    assert [(each.code, each.dataset) for each in report.news] == [("begins_later", name) for name in METERS]
    states = one.coverage("meter_intervals").filter(subject_id=meter).sort("day")
    assert states.filter(states["day"] < activated)["state"].unique().to_list() == ["empty"]
    assert states.filter(states["day"] >= activated)["state"].unique().to_list() == ["complete"]
    # It is remembered: by the next backfill, that of another month, and the morning's look back.
    assert one.run_counted(*HALF_JUNE, datasets=METERS)[1] == []
    _, older = one.run_counted(*LATE_MAY, datasets=METERS)
    assert calls_of(older, meter) + calls_of(older, meter, "meter_data_raw") == []
    _, morning = one.run_counted(*HALF_JUNE, datasets=METERS, refetch=True, is_urgent=True)
    assert [call.status for call in morning] == [200] * len(morning)
    # On request it is asked again, which costs one call, not a search.
    _, asked = one.run_counted(*HALF_JUNE, datasets=METERS, refetch=True)
    assert [call.status for call in calls_of(asked, meter)] == [200, 400]


def test_a_meter_that_answers_for_earlier_days_after_all_is_followed(bench):
    one = bench(
        world={"sites": 1, "meters": 1, "data_faults": (DataFault("appears", 0, 0, date(2026, 6, 12)),)},
        server={"account": AccountForm(refuses_early=True)},
    )
    site = one.world.sites[0]
    meter = site.meters[0].id
    one.run(*HALF_JUNE, datasets=("meter_intervals",))
    truth = bench(world={"sites": 1, "meters": 1}, directory="other")
    one.server, one.server.account = truth.server, AccountForm()
    assert one.run(*HALF_JUNE, datasets=("meter_intervals",), refetch=True).is_good
    rows = one.current("meter_intervals").filter(meter_id=meter)
    assert exact(rows["total"]) == one.world.truth_between(site.site_id, meter, *HALF_JUNE).total


def test_a_meter_that_is_activated_at_noon_gives_the_rest_of_its_day(bench, faults):
    """What begins at that day's midnight is refused, too: half a day's energy was billed to nobody."""
    one = bench(world={"sites": 1, "meters": 1})
    site = one.world.sites[0]
    meter = site.meters[0].id
    noon = stamp_of(date(2026, 6, 12), 12, one)
    faults.add(lambda request: request.subject == meter and request.t_s < noon, Fault("http_400"))
    report = one.run(*HALF_JUNE, datasets=METERS)
    assert report.is_good
    rows = one.current("meter_intervals").filter(meter_id=meter)
    assert min(rows["interval_start_utc"]) == noon
    assert rows.height == 4 * 96 + 48
    assert one.run_counted(*HALF_JUNE, datasets=METERS)[1] == []


# --- answers that are cut at the front -----------------------------------------------------------------------------


@pytest.mark.parametrize("rows", [50, 300])
def test_an_answer_of_the_newest_rows_alone_is_completed(bench, rows):
    """The front was taken for "did not exist yet", and stayed empty for ever."""
    one = bench(world={"sites": 1, "meters": 2}, server={"account": AccountForm(newest_rows=rows)})
    site = one.world.sites[0]
    days = (date(2026, 6, 14), HALF_JUNE[1]) if rows < 100 else HALF_JUNE
    report, calls = one.run_counted(*days, datasets=("meter_intervals", "site_intervals", "meter_indices"))
    assert report.is_good
    due = quarters(one.world, site.site_id, *days)
    for meter in site.meters:
        held = one.current("meter_intervals").filter(meter_id=meter.id)
        assert sorted(held["interval_start_utc"]) == due
        assert exact(held["total"]) == one.world.truth_between(site.site_id, meter.id, *days).total
    house = one.current("site_intervals").filter(meter_type="electricity")
    assert exact(house["consumption"]) == one.world.site_truth_between(site.site_id, *days).consumption
    readings = one.current("meter_indices").filter(meter_id=site.meters[0].id)
    assert {at + QUARTER for at in due} <= set(readings["read_at_utc"])
    assert one.states("meter_intervals", *days) == {"complete"}
    assert {each.code for each in report.news} == {"cut_at_front"}
    # Once it is known how many rows come, windows are no longer than that.
    if rows >= 100:
        assert len(calls) <= 5 * (16 * 96 // rows + 2)


def test_a_cut_answer_withdraws_nothing_of_what_is_stored(bench):
    """Two answers in a row that lack a month's front looked like rows that the provider had taken back."""
    one = bench(world={"sites": 1, "meters": 1})
    one.run(*HALF_JUNE, datasets=METERS)
    before = one.meaning(coverage=False)
    one.server.account = AccountForm(newest_rows=700)
    report = one.run(*HALF_JUNE, datasets=METERS, refetch=True)
    assert (report.committed.rows_new, report.committed.rows_revised) == (0, 0)
    assert one.meaning(coverage=False) == before


def test_a_front_that_cannot_be_asked_for_is_failed_and_not_empty(bench, faults):
    one = bench(world={"sites": 1, "meters": 1}, server={"account": AccountForm(newest_rows=1000)})
    meter = one.world.sites[0].meters[0].id
    is_of_meter = lambda request: request.subject == meter and request.endpoint == "meter_data"  # noqa: E731
    is_repeat = lambda request: is_of_meter(request) and request.t_e.day < 13  # noqa: E731
    faults.add(is_repeat, Fault("http_503"))
    report = one.run(*HALF_JUNE, datasets=("meter_intervals",))
    assert not report.is_good
    states = one.coverage("meter_intervals").filter(subject_id=meter).sort("day")
    assert states["state"][0] == "failed"
    assert "empty" not in set(states["state"])


# --- creation dates ------------------------------------------------------------------------------------------------

APRIL = date(2026, 4, 1), date(2026, 4, 30)


@pytest.mark.parametrize(("first", "last"), [APRIL, (date(2026, 4, 1), date(2026, 4, 15))])
def test_a_creation_date_that_is_too_late_hides_no_data(bench, first, last):
    """No call was made for weeks of data, the exit status was 0, and nobody was told."""
    one = bench(
        world={"sites": 1, "meters": 1, "created": date(2026, 4, 1)},
        server={"account": AccountForm(created_days_late=20)},
        window_days=7,
    )
    site = one.world.sites[0]
    since = site.created
    report = one.run(first, last, datasets=("sites", "meters", "meter_intervals", "site_intervals"))
    assert report.is_good
    assert [(each.code, each.site_id) for each in report.news] == [("created_earlier", site.site_id)]
    for meter in site.meters:
        held = one.current("meter_intervals").filter(meter_id=meter.id)
        assert sorted(held["interval_start_utc"]) == quarters(one.world, site.site_id, max(first, since), last)
        assert exact(held["total"]) == one.world.truth_between(site.site_id, meter.id, max(first, since), last).total
    assert one.run_counted(first, last, datasets=("meter_intervals", "site_intervals"))[1] == []


def test_days_before_a_right_creation_date_cost_a_call_and_are_named(bench):
    one = bench(world={"sites": 1, "meters": 1, "created": date(2026, 6, 10)})
    site = one.world.sites[0]
    asked = date(2026, 3, 1), date(2026, 6, 30)
    report, calls = one.run_counted(*asked)
    assert report.is_good
    assert report.news == []
    early = [call for call in calls if call.t_s.astimezone(site.zone).date() < site.created - timedelta(days=1)]
    assert 1 <= len(early) <= 2
    sites = one.ingestion.listings_for(report.request).sites
    (left_out,) = creation.not_asked(Layout(one.data_dir), report.request, sites)
    assert str(left_out) == (
        f"{(site.created - asked[0]).days} days of {site.name} (2026-03-01..{site.created - timedelta(days=1)}), "
        f"before its creation date {site.created}"
    )
    assert one.run_counted(*asked)[1] == []


# --- where a window begins -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("bounds", ["(]", "[)", "[]"])
def test_no_value_that_is_kept_depends_on_where_a_window_began(bench, bounds):
    """The first rows of the one real answer are 0, or hold some of the meters only."""

    def lake(rows):
        one = bench(
            world={"sites": 1, "meters": 2, "data_faults": ()},
            server={"account": AccountForm(edge_rows=rows), "window_bounds": bounds},
            directory=f"edge-{rows}",
        )
        one.run(*DAYS, datasets=("meter_intervals", "site_intervals"))
        return one.meaning()

    whole = lake(0)
    for edge in (1, 3, 6):
        with_edge = lake(edge)
        if bounds == "(]" or edge < 6:  # another bound brings one more row at the start
            assert with_edge == whole, edge


def test_a_difference_by_where_a_window_began_is_said_once_and_replaces_nothing(bench):
    one = bench(world={"sites": 1, "meters": 2}, server={"account": AccountForm(edge_rows=3)})
    only = {"datasets": ("meter_intervals",)}
    site = one.world.sites[0].site_id
    one.run(*DAYS, **only)
    before = one.meaning(coverage=False)
    report = one.run(DAYS[1], DAYS[1], refetch=True, **only)
    assert [(each.finding.code, each.finding.subject_id) for each in report.committed.findings] == [
        ("window_edge", site)
    ]
    (found,) = report.committed.findings
    assert "45 minutes from the start of a window" in found.finding.samples[0]
    assert (report.committed.rows_new, report.committed.rows_revised) == (0, 0)
    assert one.meaning(coverage=False) == before
    assert one.run(DAYS[1], DAYS[1], refetch=True, **only).committed.findings == []
    assert one.run(DAYS[1], DAYS[1], refetch=True, **only).committed.findings == []


def test_an_edge_that_changes_the_parts_alone_names_the_part(bench, faults):
    """The total was printed, which was the same: "0.131 instead of 0.131"."""
    one = bench(world={"sites": 1, "meters": 2})
    only = {"datasets": ("meter_intervals",)}
    one.run(*DAYS, **only)
    meter = one.world.sites[0].meters[0].id

    def resplit(rows):
        return [{**row, "self": 5.5, "ext": -5.5} if number < 2 else row for number, row in enumerate(rows)]

    faults.add(lambda request: request.endpoint == "meter_data" and request.subject == meter, rewriting(resplit))
    (found,) = one.run(DAYS[1], DAYS[1], refetch=True, **only).committed.findings
    assert "UTC solar 5.5 instead of 0" in found.finding.samples[0]


def test_a_revision_before_a_window_is_no_edge(bench, faults):
    one = bench(world={"sites": 1, "meters": 2})
    only = {"datasets": ("meter_intervals",)}
    one.run(*DAYS, **only)
    faults.add(
        lambda request: request.endpoint == "meter_data",
        rewriting(lambda rows: [{**row, "total": row["total"] + 0.5} for row in rows]),
    )
    assert one.run(DAYS[1], DAYS[1], refetch=True, **only).committed.findings == []


def test_a_window_is_no_longer_than_its_days_and_the_time_that_it_begins_early(bench, faults):
    """What a call may span is bounded: CLIMKIT_WINDOW_DAYS local days, hours of clock changes and edges on top."""
    one = bench(world={"sites": 1, "meters": 6})
    meters = one.world.sites[0].meters
    faults.list_only(meters[0].id, meters[WATER].id)
    _, calls = one.run_counted(*OCTOBER, datasets=("meter_intervals", "site_intervals"))
    spans = {call.subject: call.t_e - call.t_s for call in calls}
    month, quarter = timedelta(days=31, hours=1), timedelta(minutes=15)
    electricity, others = month + timedelta(minutes=90) + quarter, month + timedelta(days=1) + quarter
    assert set(spans.values()) == {electricity, others}
    assert spans["electricity"] == electricity
    assert len(calls) == len(spans)


# --- two readings of one instant -----------------------------------------------------------------------------------


@pytest.mark.parametrize("position", [0, 4, 5], ids=["electricity", "heat", "water"])
@pytest.mark.parametrize("is_turned", [False, True])
@pytest.mark.parametrize("day", [DAYS[0], date(2026, 10, 25)])
def test_both_readings_of_an_exchange_are_kept_in_their_order(bench, faults, position, is_turned, day):
    """The last reading of the old device was thrown away for good, and what it had counted with it."""
    one = bench(world={"sites": 1, "meters": 6, "data_faults": (DataFault("replaced_read", 0, position, day),)})
    site = one.world.sites[0]
    meter = site.meters[position]
    faults.list_only(meter.id)
    if is_turned:

        def turned(rows):
            backwards = rows[::-1]
            return sorted(backwards, key=stamp)

        faults.add(lambda request: request.endpoint == "meter_data_raw", rewriting(turned))
    report = one.run(day, datasets=("meter_indices",))
    assert found(report) == {("two_readings_of_exchange", meter.id): 1}
    column = {"electricity": "index_import_kwh", "heating": "heat_kwh"}.get(meter.type, "volume_m3")
    rows = one.current("meter_indices").filter(meter_id=meter.id).sort("read_at_utc")
    falls = [number for number in range(1, rows.height) if rows[column][number] < rows[column][number - 1]]
    assert len(falls) == 1
    closing, opening = rows.row(falls[0] - 1, named=True), rows.row(falls[0], named=True)
    assert opening["read_at_utc"] - closing["read_at_utc"] == timedelta(microseconds=1)
    assert opening[column] == 0
    assert closing[column] > 0
    truth = one.world.truth_between(site.site_id, meter.id, day - timedelta(days=1), day)
    counted = closing[column] - rows[column][0] + rows[column][-1]
    first, last = truth.index_start, truth.index_end
    register = {"electricity": "en_im", "heating": "heat_energy_kwh"}.get(meter.type, "vol_m3")
    # From the first quarter-hour of the day before, which the window begins with, to the end of the day.
    at_first = one.world.registers(site.site_id).at(meter.id, int(rows["read_at_utc"][0].timestamp()) // 900)
    assert round(Decimal(counted), 6) == last[register] - Decimal(at_first) / 1_000_000
    assert first[register] <= last[register]
    again = one.run(day, datasets=("meter_indices",), refetch=True)
    assert (again.committed.rows_new, again.committed.rows_revised) == (0, 0)


def test_two_readings_that_the_series_goes_on_from_as_before_are_a_conflict(bench, faults):
    """A device that was not exchanged must not be cut: the last value counts, and it is told."""
    one = bench(world={"sites": 1, "meters": 2})
    meter = one.world.sites[0].meters[0].id
    at = stamp_of(DAYS[0], 12, one)

    def twice(rows):
        (row,) = (row for row in rows if stamp(row) == at)
        return sorted([*rows, {**row, "en_im": row["en_im"] + 1}], key=stamp)

    faults.add(lambda request: request.endpoint == "meter_data_raw" and request.subject == meter, rewriting(twice))
    report = one.run(*DAYS, datasets=("meter_indices",))
    assert found(report) == {("conflicting_rows", meter): 1}
    rows = one.current("meter_indices").filter(meter_id=meter)
    assert rows.height == 4 * 96
