from __future__ import annotations

import json
from collections import Counter, defaultdict
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from itertools import pairwise

import polars as pl
import pytest
from ingest_bench import (
    ENDPOINTS,
    MARCH,
    OCTOBER,
    QUARTER,
    SERIES,
    early_by,
    lacking,
    number_of,
    quarters,
    rewriting,
    stamp,
)

from climkit_pipeline.domain.periods import local_midnight_utc
from climkit_pipeline.errors import AuthenticationError, ConfigurationError, RateLimitedError
from climkit_pipeline.ingest.commit import commit
from climkit_pipeline.ingest.landing import Landed
from climkit_pipeline.lake.layout import Layout
from climkit_pipeline.simulator import Fault

JUNE = date(2026, 6, 1), date(2026, 6, 30)
DAY = date(2026, 6, 10)
THREE_DAYS = DAY, DAY + timedelta(days=2)
WEEK = DAY, DAY + timedelta(days=6)
MICRO = Decimal(1_000_000)
EIGHT = {"meters": 8}
FIVE = {"meters": 5}
ONE = {"sites": 1}
PAIR = {"sites": 1, "meters": 2}


def utc(day, hour, minute=0):
    return datetime(day.year, day.month, day.day, hour, minute, tzinfo=UTC)


def exact(column):
    return sum((Decimal(repr(value)) for value in column), Decimal(0))


def about(endpoint, subject=None):
    return lambda request: request.endpoint == endpoint and subject in (None, request.subject)


def asked_days(calls, world):
    """How often each day of each subject was asked for, judged by what was sent."""
    asked = Counter()
    for call in calls:
        zone = world.site(call.site_id).zone
        first, last = (
            (call.t_s + early_by(call, world)).astimezone(zone).date(),
            (call.t_e - QUARTER).astimezone(zone).date(),
        )
        for number in range((last - first).days):
            asked[ENDPOINTS[call.endpoint], call.site_id, call.subject, first + timedelta(days=number)] += 1
    return asked


# --- a month -------------------------------------------------------------------------------------------------------


def test_a_month_is_the_worlds_truth_and_a_second_run_asks_for_nothing(bench):
    """The one thing all else serves: a row wrong, missing or doubled is a wrong bill."""
    one = bench(world=FIVE)
    report, calls = one.run_counted(*JUNE)
    assert report.is_good
    assert report.calls.total() == len(calls)
    intervals, indices, sensors = (
        one.current(name) for name in ("meter_intervals", "meter_indices", "sensor_readings")
    )
    assert {site.zone.key for site in one.world.sites} == {"Europe/Zurich", "Europe/Lisbon"}
    houses = one.current("site_intervals")
    for site in one.world.sites:
        starts = quarters(one.world, site.site_id, *JUNE)
        first, last = number_of(starts[0]), number_of(starts[-1]) + 1
        registers = one.world.registers(site.site_id)
        for meter in site.meters:
            rows = intervals.filter(meter_id=meter.id, site_id=site.site_id).sort("interval_start_utc")
            assert rows["interval_start_utc"].to_list() == starts
            assert rows["interval_end_utc"].to_list() == [start + QUARTER for start in starts]
            assert rows["day"].to_list() == [start.astimezone(site.zone).date() for start in starts]
            counted = registers.between(meter.id, first, last)
            assert rows["total"].to_list() == [(after - before) / 1_000_000 for before, after in pairwise(counted)]
            truth = one.world.month_truth(site.site_id, meter.id, JUNE[0])
            assert exact(rows["total"]) == truth.total
            if truth.solar is None:
                assert rows["solar"].null_count() == rows["grid"].null_count() == len(starts)
            else:
                assert (exact(rows["solar"]), exact(rows["grid"])) == (truth.solar, truth.grid)
            readings = indices.filter(pl.col("day").is_between(*JUNE), meter_id=meter.id).sort("read_at_utc")
            assert readings["read_at_utc"].to_list() == ([] if meter.is_rule_meter else [s + QUARTER for s in starts])
            for name, closing in (truth.index_end or {}).items():
                column = {"en_im": "index_import_kwh", "en_ex": "index_export_kwh", "heat_energy_kwh": "heat_kwh",
                          "vol_m3": "volume_m3"}[name]  # fmt: skip
                assert Decimal(repr(readings[column][-1])) == closing
                opening = indices.filter(meter_id=meter.id, read_at_utc=starts[0])[column].item()
                assert Decimal(repr(opening)) == truth.index_start[name], "the reading that opens the month"
        house = houses.filter(site_id=site.site_id, meter_type="electricity")
        truth = one.world.site_truth_between(site.site_id, *JUNE)
        for column in ("consumption", "self_consumption", "grid_import", "grid_export", "production"):
            assert exact(house[column]) == getattr(truth, column)
        for sensor in site.sensors:
            rows = sensors.filter(pl.col("day").is_between(*JUNE), sensor_id=sensor.id).sort("read_at_utc")
            taken = one.world.sensor_readings(site.site_id, sensor, first + 1, last)
            assert [(number_of(at), value) for at, value in rows.select("read_at_utc", "reading").iter_rows()] == taken
    for dataset in SERIES:
        assert one.states(dataset, *JUNE) == {"complete"}
        assert one.versions(dataset).height == one.current(dataset).height
    assert one.landed() == []
    assert one.run_counted(*JUNE)[1] == []


def test_refetch_asks_for_everything_and_adds_no_row(bench):
    """A monthly re-read of everything would double the lake."""
    one = bench(world=ONE)
    _, first = one.run_counted(*THREE_DAYS)
    before = one.meaning(coverage=False)
    report, again = one.run_counted(*THREE_DAYS, refetch=True)
    windows = {(call.endpoint, call.subject, call.t_s, call.t_e) for call in first}
    assert {(call.endpoint, call.subject, call.t_s, call.t_e) for call in again} == windows
    assert len(again) == len(first) == len(windows)
    assert (report.committed.rows_new, report.committed.rows_revised) == (0, 0)
    assert report.committed.rows > 0
    assert one.meaning(coverage=False) == before
    assert set(one.coverage("meter_intervals")["equal_answers"]) == {2}


@pytest.mark.parametrize(("range_", "hours"), [(MARCH, 23), (OCTOBER, 25)])
def test_change_days_have_their_own_quarter_hours_each_under_its_local_day(bench, range_, hours):
    """The repeated autumn hour folded into one, and the spring day lacked four intervals that never were."""
    one = bench(world=FIVE)
    assert one.run(*range_).is_good
    change = range_[0] + timedelta(days=1)
    for site in one.world.sites:
        starts = quarters(one.world, site.site_id, change, change)
        assert len(starts) == hours * 4
        for dataset, time, shift in (
            ("meter_intervals", "interval_start_utc", timedelta(0)),
            ("site_intervals", "interval_start_utc", timedelta(0)),
            ("meter_indices", "read_at_utc", QUARTER),
            ("sensor_readings", "read_at_utc", QUARTER),
        ):
            rows = one.current(dataset).filter(site_id=site.site_id, day=change)
            by_subject = rows.group_by(rows.columns[1]).agg(pl.col(time).sort())
            assert by_subject.height >= 2
            assert all(times == [start + shift for start in starts] for times in by_subject[time].to_list())
        truth = one.world.truth_between(site.site_id, site.meters[0].id, change, change)
        rows = one.current("meter_intervals").filter(meter_id=site.meters[0].id, day=change)
        assert exact(rows["total"]) == truth.total
    assert set(one.coverage("meter_intervals").filter(day=change)["expected"]) == {hours * 4}


@pytest.mark.parametrize("minutes", [60, 1440])
@pytest.mark.parametrize(("range_", "hours"), [(MARCH, 23), (OCTOBER, 25)])
def test_hourly_and_daily_heat_is_right_on_change_days(bench, faults, minutes, range_, hours):
    """A daily value filed as its last quarter-hour leaves 95 gaps a day; a 24-hour step misses the change day."""
    one = bench(world={"meters": 8, "sites": 1, "step_minutes": minutes})
    site = one.world.sites[0]
    heat = site.of_kind("building_heat", "hot_water")
    faults.list_only(*(meter.id for meter in heat))
    report, calls = one.run_counted(*range_)
    assert report.is_good
    assert max(asked_days([c for c in calls if c.endpoint in ("meter_data", "site_data")], one.world).values()) == 1
    zone = site.zone
    change = range_[0] + timedelta(days=1)
    for meter in heat:
        rows = one.current("meter_intervals").filter(meter_id=meter.id).sort("interval_start_utc")
        first, last = (local_midnight_utc(day, zone) for day in (change, change + timedelta(days=1)))
        span = (last - first) if minutes == 1440 else timedelta(hours=1)
        starts = [first + number * span for number in range((last - first) // span)]
        of_day = rows.filter(day=change)
        assert of_day["interval_start_utc"].to_list() == starts
        assert of_day["interval_end_utc"].to_list() == [start + span for start in starts]
        assert (last - first) == timedelta(hours=hours)
        assert exact(rows["total"]) == one.world.truth_between(site.site_id, meter.id, *range_).total
        coverage = one.coverage("meter_intervals").filter(subject_id=meter.id)
        assert set(coverage["state"]) == {"complete"}
        assert set(coverage["interval_minutes"]) == {minutes}


@pytest.mark.parametrize("minutes", [60, 1440])
def test_one_day_of_heat_alone_is_right_whether_or_not_its_neighbours_are_known(bench, faults, minutes):
    """A lone daily row has no distance to a neighbour: it was filed as a quarter-hour, and doubled later."""
    one = bench(world={"meters": 6, "sites": 1, "step_minutes": minutes})
    site = one.world.sites[0]
    heat = site.of_kind("building_heat", "hot_water")
    faults.list_only(*(meter.id for meter in heat))
    asked = []
    for days in ((DAY, DAY), (DAY + timedelta(days=1),) * 2, (DAY, DAY + timedelta(days=2))):
        report, calls = one.run_counted(*days, datasets=("meter_intervals",), refetch=days[0] == days[1])
        assert report.is_good
        asked += calls
    for meter in heat:
        rows = one.current("meter_intervals").filter(meter_id=meter.id)
        assert rows.height == 3 * (1440 // minutes)
        assert exact(rows["total"]) == one.world.truth_between(site.site_id, meter.id, *THREE_DAYS).total
    assert max(asked_days(asked, one.world).values()) == 1, "a whole answer was taken for a short one"


def test_the_lake_does_not_depend_on_which_bound_of_a_window_the_api_includes(bench):
    """Nobody knows which it is: the first or the last quarter-hour of every month would be lost or doubled."""

    def lake(bounds):
        one = bench(world={**FIVE, "sites": 1}, server={"window_bounds": bounds}, directory=bounds)
        assert one.run(DAY, DAY + timedelta(days=1)).is_good
        return one.meaning()

    usual = lake("(]")
    assert lake("[)") == usual
    assert lake("[]") == usual


def test_four_calls_in_flight_make_the_same_lake_as_one(bench):
    """Answers that overtake each other must not change what is current, nor lose one."""
    lakes = []
    for in_flight in (1, 4):
        one = bench(world={**FIVE, "sites": 1}, directory=f"in-flight-{in_flight}", max_in_flight=in_flight)
        report, calls = one.run_counted(DAY)
        assert report.is_good
        lakes.append((one.meaning(), Counter((c.endpoint, c.subject, c.t_s, c.t_e) for c in calls)))
    assert lakes[0] == lakes[1]


# --- what is asked for ---------------------------------------------------------------------------------------------


def test_a_site_without_sensors_has_no_sensor_call_and_is_good(bench):
    """An empty list of sensors made an empty day, and an empty day was red."""
    one = bench(world={"sites": 3})
    report, calls = one.run_counted(DAY)
    bare = one.world.sites[2]
    assert not bare.sensors
    assert report.is_good
    assert not [call for call in calls if call.endpoint == "sensor_data" and call.site_id == bare.site_id]
    assert one.current("meter_intervals").filter(site_id=bare.site_id).height == 2 * 96
    assert one.states("sensors", DAY) == {"complete"}


def test_meter_intervals_alone_asks_for_nothing_else_and_still_lists(bench):
    """Naming one dataset fetched seven, or left the models without the meters' names."""
    one = bench()
    report, calls = one.run_counted(DAY, datasets=("meter_intervals",))
    assert {call.endpoint for call in calls} == {"meter_data"}
    assert report.is_good
    assert one.current("meters").filter(day=DAY).height == 4
    assert one.coverage("meter_indices").is_empty()
    _, rest = one.run_counted(DAY)
    assert {call.endpoint for call in rest} == set(ENDPOINTS) - {"meter_data"}


def test_an_account_without_a_site_is_a_good_run(bench):
    """A new customer's first run failed on an empty list."""
    one = bench(world={"sites": 0})
    report, calls = one.run_counted(*THREE_DAYS)
    assert report.is_good
    assert calls == []
    assert (one.data_dir / "account.json").exists()


def test_nothing_is_asked_before_a_site_existed(bench):
    """Three years of backfill of a site of last month were 35 wasted calls a meter."""
    one = bench()
    created = max(site.created for site in one.world.sites)
    report, calls = one.run_counted(created - timedelta(days=12), created + timedelta(days=2))
    assert report.is_good
    # But for one call a site that looks whether its creation date is right.
    looked = [call for call in calls if call.t_s < local_midnight_utc(one.world.site(call.site_id).created,
                                                                      one.world.site(call.site_id).zone)]  # fmt: skip
    assert {call.endpoint for call in looked} == {"site_data"}
    assert max(call.rows for call in looked) <= 1, "beyond the quarter-hour that every call asks too much for"
    assert len(looked) == len({call.site_id for call in looked})
    calls = [call for call in calls if call not in looked]
    for site in one.world.sites:
        of_site = [c for c in calls if c.site_id == site.site_id]
        assert min(call.t_s for call in of_site) == max(
            local_midnight_utc(site.created, site.zone),
            local_midnight_utc(created - timedelta(days=13), site.zone),
        )
        for name in ("sites", "meters"):
            listed = one.current(name).filter(site_id=site.site_id)["day"]
            assert min(listed) == max(site.created, created - timedelta(days=12))
    late = max(one.world.sites, key=lambda site: site.created)
    rows = one.coverage("meter_intervals").filter(site_id=late.site_id)
    assert (min(rows["day"]), set(rows["state"])) == (created, {"complete"})


def test_rule_meters_have_no_raw_data_and_only_listed_types_a_site_series(bench):
    """Raw data of a rule meter is refused with 400, which halved every window after it."""
    one = bench(world=EIGHT)
    _, calls = one.run_counted(DAY)
    for site in one.world.sites:
        asked = defaultdict(set)
        for call in calls:
            if call.site_id == site.site_id:
                asked[call.endpoint].add(call.subject)
        assert asked["meter_data"] == {meter.id for meter in site.meters}
        assert asked["meter_data_raw"] == {meter.id for meter in site.meters if meter.kind != "rule"}
        assert asked["site_data"] == {"electricity", "heating", "hot_water", "cold_water", "charge_point"}
        assert asked["sensor_data"] == {sensor.id for sensor in site.sensors}
    assert {call.status for call in calls} == {200}


def test_a_meter_listed_twice_is_asked_once(bench, faults):
    """A list with a double cost every call of that meter twice."""
    one = bench(world=ONE)
    faults.add(about("meter_info"), rewriting(lambda rows: [*rows, *rows]))
    report, calls = one.run_counted(*THREE_DAYS)
    assert report.is_good
    assert set(asked_days([c for c in calls if c.endpoint == "meter_data"], one.world).values()) == {1}
    assert one.current("meters").filter(day=DAY).height == 2


def test_a_range_of_sites_leaves_the_others_alone(bench):
    """Naming one site of sixty must not cost the calls of sixty."""
    one = bench()
    wanted = one.world.sites[1].site_id
    report, calls = one.run_counted(*THREE_DAYS, site_ids=(wanted,))
    assert report.is_good
    assert {call.site_id for call in one.server.calls if call.site_id} == {wanted}
    assert calls


def test_days_that_have_not_begun_are_not_asked(bench, clock):
    """Tomorrow asked today would be filed as pending, and be asked twice."""
    one = bench(world=ONE)
    today = clock.at.date()
    one.run(today - timedelta(days=1), today + timedelta(days=5), datasets=("meter_intervals",))
    assert max(one.coverage("meter_intervals")["day"]) == today
    assert one.states("meter_intervals", today) == {"pending"}


# --- short answers, gaps, revisions --------------------------------------------------------------------------------


def test_a_short_answer_is_asked_again_for_exactly_what_is_missing_and_once(bench, faults):
    """A connection cut politely looks like a gap: bills were short, and nothing said so."""
    one = bench(world=ONE)
    site = one.world.sites[0]
    meter = site.meters[0].id
    faults.add(about("meter_data", meter), Fault("short", share=0.25), times=1)
    report, calls = one.run_counted(*WEEK)
    assert report.is_good
    asked = [call for call in calls if call.subject == meter and call.endpoint == "meter_data"]
    starts = quarters(one.world, site.site_id, *WEEK)
    kept = asked[0].rows - round(0.25 * asked[0].rows) if asked[0].rows > len(starts) else asked[0].rows
    assert len(asked) == 2
    assert asked[0].rows < len(starts)
    # The first answer holds the rows from an hour and a half before the first start on; so does the second.
    early = timedelta(minutes=90)
    cut = starts[0] - early + kept * QUARTER
    assert (asked[1].t_s, asked[1].t_e) == (cut - early, starts[-1] + 2 * QUARTER)
    rows = one.current("meter_intervals").filter(meter_id=meter)
    assert rows["interval_start_utc"].sort().to_list() == starts
    assert one.states("meter_intervals", *WEEK) == {"complete"}
    assert one.run_counted(*WEEK)[1] == []


def test_a_short_answer_of_an_hourly_meter_keeps_its_step(bench, faults):
    """The repeated call brought a single hour, whose step nothing told: it was filed as a quarter-hour."""
    one = bench(world={"meters": 6, "sites": 1, "step_minutes": 60})
    site = one.world.sites[0]
    (heat,) = site.of_kind("building_heat")
    faults.list_only(heat.id)
    hole = utc(DAY + timedelta(days=1), 8)
    faults.add(about("meter_data", heat.id), lacking(hole, hole + timedelta(hours=1)), times=1)
    report, calls = one.run_counted(*THREE_DAYS, datasets=("meter_intervals",))
    assert report.is_good
    assert len([call for call in calls if call.subject == heat.id]) == 2
    rows = one.current("meter_intervals").filter(meter_id=heat.id)
    assert rows.height == 72
    assert exact(rows["total"]) == one.world.truth_between(site.site_id, heat.id, *THREE_DAYS).total


def test_a_short_answer_of_readings_is_asked_again_for_its_end(bench, faults):
    """The lost tail holds the closing index of the month; the day looked complete, and nobody asked again."""
    one = bench(world=PAIR)
    meter = one.world.sites[0].meters[0].id
    faults.add(about("meter_data_raw", meter), Fault("short", share=0.1), times=1)
    report, calls = one.run_counted(*THREE_DAYS, datasets=("meter_indices",))
    assert report.short_answers == 1
    assert Counter(call.subject for call in calls)[meter] == 2
    whole = Counter(one.current("meter_indices")["meter_id"])
    assert len(set(whole.values())) == 1, "as many readings as the meter that was answered at once"
    assert one.run_counted(*THREE_DAYS, datasets=("meter_indices",))[1] == []


def test_readings_that_break_off_are_a_gap_until_they_come(bench, faults):
    one = bench(world=PAIR)
    meter = one.world.sites[0].meters[0].id
    faults.add(about("meter_data_raw", meter), Fault("short", share=0.1))
    report = one.run(*THREE_DAYS, datasets=("meter_indices",))
    assert report.is_good
    last_day = one.coverage("meter_indices").filter(subject_id=meter, day=THREE_DAYS[1])
    assert last_day["state"].to_list() == ["gap"]
    [gap] = last_day["gaps"].to_list()[0]
    assert gap["gap_end_utc"] == local_midnight_utc(THREE_DAYS[1] + timedelta(days=1), one.world.sites[0].zone)
    faults.rules.clear()
    _, calls = one.run_counted(*THREE_DAYS, datasets=("meter_indices",))
    assert [call.subject for call in calls] == [meter]
    assert one.states("meter_indices", *THREE_DAYS) == {"complete"}


def test_a_true_gap_is_recorded_costs_one_call_per_run_and_is_closed_by_a_full_answer(bench, faults):
    """A gap must be seen, must not cost a call per try for ever, and must heal by itself."""
    one = bench(world=ONE)
    site = one.world.sites[0]
    meter = site.meters[0].id
    first, last = utc(DAY + timedelta(days=1), 9), utc(DAY + timedelta(days=1), 11, 30)
    faults.add(about("meter_data", meter), lacking(first, last))
    report, calls = one.run_counted(*THREE_DAYS)
    assert len([call for call in calls if call.subject == meter and call.endpoint == "meter_data"]) == 2
    assert report.is_good
    rows = one.coverage("meter_intervals").filter(subject_id=meter, state="gap")
    assert rows["day"].to_list() == [DAY + timedelta(days=1)]
    assert rows["gaps"].to_list() == [[{"gap_start_utc": first, "gap_end_utc": last}]]
    assert (rows["expected"].item(), rows["received"].item()) == (96, 86)
    for _ in range(2):
        again = one.run_counted(*THREE_DAYS)[1]
        assert [(call.endpoint, call.subject) for call in again] == [("meter_data", meter)]
    faults.rules.clear()
    assert len(one.run_counted(*THREE_DAYS)[1]) == 1
    assert one.states("meter_intervals", *THREE_DAYS) == {"complete"}
    assert one.run_counted(*THREE_DAYS)[1] == []
    total = exact(one.current("meter_intervals").filter(meter_id=meter)["total"])
    assert total == one.world.truth_between(site.site_id, meter, *THREE_DAYS).total


def test_missing_days_at_the_start_of_a_window_are_asked_again_where_older_rows_are_known(bench, faults):
    """Only what lay behind the first row of an answer counted as short: the days before it became gaps unasked."""
    one = bench(world=ONE)
    site = one.world.sites[0]
    meter = site.meters[0].id
    one.run(DAY - timedelta(days=2), DAY - timedelta(days=1), datasets=("meter_intervals",))
    starts = quarters(one.world, site.site_id, *WEEK)
    faults.add(about("meter_data", meter), lacking(starts[0], starts[96 * 2]), times=1)
    _, calls = one.run_counted(*WEEK, datasets=("meter_intervals",))
    again = [call for call in calls if call.subject == meter][1:]
    early = timedelta(minutes=90)
    assert [(call.t_s, call.t_e) for call in again] == [(starts[0] - early, starts[96 * 2] + QUARTER)]
    assert one.states("meter_intervals", *WEEK) == {"complete"}


def test_a_meter_without_data_before_its_installation_is_empty_there_and_not_asked_again(bench, faults):
    """A meter installed in June had a gap for every day before, each paid for at every run."""
    one = bench(world=ONE)
    meter = one.world.sites[0].meters[0].id
    installed = quarters(one.world, one.world.sites[0].site_id, DAY, DAY)[0]
    faults.add(about("meter_data", meter), rewriting(lambda rows: (row for row in rows if stamp(row) > installed)))
    days = DAY - timedelta(days=4), DAY + timedelta(days=1)
    one.run(*days, datasets=("meter_intervals",))
    rows = one.coverage("meter_intervals").filter(subject_id=meter).sort("day")
    assert rows["state"].to_list() == ["empty"] * 4 + ["complete"] * 2
    assert one.run_counted(*days, datasets=("meter_intervals",))[1] == []


def test_a_revision_is_a_new_version_and_the_old_one_is_superseded_by_it(bench, faults):
    """The provider may change any value any day: the old invoice must stay explainable."""
    one = bench(world=ONE)
    site = one.world.sites[0]
    meter = site.meters[0].id
    one.run(*THREE_DAYS)
    at = utc(DAY + timedelta(days=1), 10)

    def revised(rows):
        return [{**row, "total": 99.5, "ext": None} if stamp(row) == at else row for row in rows]

    faults.add(about("meter_data", meter), rewriting(revised))
    report = one.run(*THREE_DAYS, refetch=True)
    assert report.committed.rows_revised == 1
    key = {"meter_id": meter, "interval_start_utc": at - QUARTER}
    old, new = one.versions("meter_intervals").filter(**key).sort("fetched_at_utc").rows(named=True)
    registers = one.world.registers(site.site_id)
    before, after = registers.between(meter, number_of(at) - 1, number_of(at))
    assert (old["total"], new["total"], new["grid"]) == ((after - before) / 1_000_000, 99.5, None)
    assert old["superseded_at_utc"] == new["fetched_at_utc"]
    assert new["superseded_at_utc"] is None
    superseded = one.versions("meter_intervals").filter(pl.col("superseded_at_utc").is_not_null())
    assert superseded.height == 1
    coverage = one.coverage("meter_intervals").filter(subject_id=meter).sort("day")
    assert coverage["equal_answers"].to_list() == [2, 1, 2]
    assert coverage["last_changed_at_utc"][1] == new["fetched_at_utc"]


def test_a_row_that_two_answers_lack_is_withdrawn_and_can_come_back(bench, faults):
    """A quarter-hour that the provider took back stayed on the bill for ever; one short answer must not remove it."""
    one = bench(world=ONE)
    site = one.world.sites[0]
    meter = site.meters[0].id
    only = {"datasets": ("meter_intervals",), "refetch": True}
    one.run(*THREE_DAYS, **only)
    whole = one.meaning(coverage=False)["meter_intervals"]
    first, last = utc(DAY + timedelta(days=1), 9), utc(DAY + timedelta(days=1), 10)
    faults.add(about("meter_data", meter), lacking(first, last), times=1)
    one.run(*THREE_DAYS, **only)
    assert one.meaning(coverage=False)["meter_intervals"] == whole, "one short answer withdraws nothing"
    faults.add(about("meter_data", meter), lacking(first, last), times=2)
    report, calls = one.run_counted(*THREE_DAYS, **only)
    assert len([call for call in calls if call.subject == meter]) == 2
    gone = one.versions("meter_intervals").filter(pl.col("superseded_at_utc").is_not_null())
    assert gone["interval_start_utc"].sort().to_list() == [first + number * QUARTER for number in range(4)]
    assert set(gone["meter_id"]) == {meter}
    coverage = one.coverage("meter_intervals").filter(subject_id=meter, day=DAY + timedelta(days=1))
    assert coverage["state"].item() == "gap"
    assert coverage["gaps"].to_list() == [[{"gap_start_utc": first, "gap_end_utc": last}]]
    assert report.committed.rows_revised >= 0
    one.run(*THREE_DAYS, **only)
    total = exact(one.current("meter_intervals").filter(meter_id=meter)["total"])
    assert total == one.world.truth_between(site.site_id, meter, *THREE_DAYS).total
    assert one.states("meter_intervals", *THREE_DAYS) == {"complete"}


def test_calls_that_are_used_up_end_the_run_and_keep_what_came(bench, faults):
    """With a daily quota spent, each part of a backfill was waited for in turn, half an hour long."""
    one = bench(world={"sites": 2, "meters": 3})
    left = iter(range(4))
    faults.add(lambda request: request.endpoint in ENDPOINTS and next(left, None) is None, Fault("status", status=429))
    with pytest.raises(RateLimitedError, match=r"429, however long .* goes on from here"):
        one.run(DAY)
    answered = [call for call in one.series_calls() if call.status == 200]
    refused = {(call.endpoint, call.subject) for call in one.series_calls() if call.status == 429}
    assert (len(answered), len(refused)) == (4, 2)
    kept = one.coverage("meter_intervals").filter(state="complete")
    assert set(kept["subject_id"]) <= {call.subject for call in answered}
    assert kept.height == len([call for call in answered if call.endpoint == "meter_data"]) > 0
    faults.rules.clear()
    report, calls = one.run_counted(DAY)
    assert report.is_good
    asked_before = {(call.endpoint, call.site_id, call.subject) for call in answered}
    assert not asked_before & {(call.endpoint, call.site_id, call.subject) for call in calls}


def test_one_meter_that_is_always_refused_for_the_number_of_calls_fails_alone(bench, faults):
    one = bench(world={"sites": 1, "meters": 3})
    meter = one.world.sites[0].meters[0].id
    faults.add(about("meter_data", meter), Fault("status", status=429))
    report = one.run(*THREE_DAYS, datasets=("meter_intervals",))
    assert [failure.subject_id for failure in report.failures] == [meter]


@pytest.mark.parametrize("fault", [Fault("status", status=200, body=[]), Fault("status", status=403),
                                   Fault("status", status=404)], ids=["empty", "403", "404"])  # fmt: skip
def test_an_answer_without_rows_withdraws_nothing(bench, faults, fault):
    """A meter whose rights were taken away for a day lost its history."""
    one = bench(world=ONE)
    one.run(*THREE_DAYS, datasets=("meter_intervals",))
    before = one.meaning(coverage=False)["meter_intervals"]
    faults.add(about("meter_data", one.world.sites[0].meters[0].id), fault)
    one.run(*THREE_DAYS, datasets=("meter_intervals",), refetch=True)
    assert one.meaning(coverage=False)["meter_intervals"] == before


def test_late_data_of_yesterday_is_asked_again_until_it_is_there(bench, faults, clock):
    """A radio meter delivers in the afternoon: asked in the morning, its day stayed short."""
    one = bench(world=ONE)
    site = one.world.sites[0]
    meter = site.meters[0].id
    yesterday = clock.at.date() - timedelta(days=1)
    starts = quarters(one.world, site.site_id, yesterday, yesterday)
    faults.add(about("meter_data", meter), lacking(starts[50], starts[-1] + QUARTER))
    report, calls = one.run_counted(yesterday, datasets=("meter_intervals",))
    assert report.is_good
    assert len([call for call in calls if call.subject == meter]) == 1, "late is not short: no second call"
    assert one.coverage("meter_intervals").filter(subject_id=meter)["state"].item() == "pending"
    faults.rules.clear()
    clock.at += timedelta(hours=6)
    assert [call.subject for call in one.run_counted(yesterday, datasets=("meter_intervals",))[1]] == [meter]
    assert one.states("meter_intervals", yesterday) == {"complete"}
    assert one.run_counted(yesterday, datasets=("meter_intervals",))[1] == []


# --- failures ------------------------------------------------------------------------------------------------------


def test_a_site_whose_calls_all_fail_does_not_stop_the_other(bench, faults):
    """The first meter of a broken site ended the night for sixty good ones."""
    one = bench()
    bad, good = (site.site_id for site in one.world.sites)
    faults.add(lambda request: request.site_id == bad and request.endpoint in ENDPOINTS, Fault("http_500"))
    report = one.run(*THREE_DAYS)
    assert not report.is_good
    assert {failure.site_id for failure in report.failures} == {bad}
    for dataset in SERIES:
        assert report.failed_days(dataset) == {DAY + timedelta(days=number) for number in range(3)}
        rows = one.coverage(dataset).filter(pl.col("day").is_between(*THREE_DAYS))
        assert set(rows.filter(site_id=bad)["state"]) == {"failed"}
        assert set(rows.filter(site_id=good)["state"]) == {"complete"}
    assert one.landed() == []
    faults.rules.clear()
    report, calls = one.run_counted(*THREE_DAYS)
    assert report.is_good
    assert {call.site_id for call in calls} == {bad}
    assert one.states("meter_intervals", *THREE_DAYS) == {"complete"}


def test_a_site_whose_listing_fails_does_not_stop_the_other(bench, faults):
    """A site just deleted on the platform answers 404 to its listing, and stopped all."""
    one = bench()
    bad, good = (site.site_id for site in one.world.sites)
    faults.add(lambda request: request.site_id == bad, Fault("status", status=404))
    report = one.run(*THREE_DAYS)
    assert report.failed_days("meter_intervals") == {DAY + timedelta(days=number) for number in range(3)}
    assert one.states("meters", *THREE_DAYS) == {"failed", "complete"}
    assert set(one.current("meter_intervals")["site_id"]) == {good}
    faults.rules.clear()
    assert one.run(*THREE_DAYS).is_good
    assert one.states("meters", *THREE_DAYS) == {"complete"}


def test_a_failed_meter_that_is_no_longer_listed_does_not_stay_red(bench, faults):
    """A meter that failed on its last day and was then removed kept every later run of that day red."""
    one = bench(world=ONE)
    gone = one.world.sites[0].meters[0].id
    faults.add(about("meter_data", gone), Fault("status", status=404))
    assert not one.run(*THREE_DAYS).is_good
    faults.add(about("meter_info"), rewriting(lambda rows: (row for row in rows if row["id"] != gone)))
    assert one.run(*THREE_DAYS).is_good


def test_a_failed_listing_keeps_failed_meters_red(bench, faults):
    """Whether a meter is still there is not known then: red must not turn green by a second fault."""
    one = bench(world=ONE)
    faults.add(about("meter_data", one.world.sites[0].meters[0].id), Fault("status", status=404))
    assert not one.run(*THREE_DAYS).is_good
    faults.add(about("meter_info"), Fault("status", status=403))
    assert not one.run(*THREE_DAYS).is_good


def test_an_answer_of_an_unknown_shape_fails_its_days_and_nothing_else(bench, faults):
    """Landed before it was understood, it would have stopped every later run at recovery."""
    one = bench(world=ONE)
    meter = one.world.sites[0].meters[1].id
    faults.add(about("meter_data", meter), Fault("status", status=200, body={"rows": []}))
    report = one.run(*THREE_DAYS)
    assert {(failure.dataset, failure.subject_id) for failure in report.failures} == {("meter_intervals", meter)}
    assert one.coverage("meter_intervals").filter(subject_id=meter)["state"].to_list() == ["failed"] * 3
    faults.rules.clear()
    report, calls = one.run_counted(*THREE_DAYS)
    assert report.is_good
    assert [call.subject for call in calls] == [meter]


@pytest.mark.parametrize("status", [400, 413])
def test_windows_that_are_too_long_are_halved_and_the_size_is_remembered(bench, faults, status):
    """Each meter tried the long window first: a third of all calls were refusals."""
    one = bench(world=PAIR)

    def too_long(request):
        return request.endpoint in ENDPOINTS and request.t_e - request.t_s > timedelta(days=10)

    faults.add(too_long, Fault("status", status=status))
    report, calls = one.run_counted(*JUNE, datasets=("meter_intervals",))
    assert report.is_good
    assert one.states("meter_intervals", *JUNE) == {"complete"}
    refused = [call for call in calls if call.status == status]
    assert len({call.subject for call in refused}) == 1, "only the first meter finds out"
    assert len(refused) <= 3
    assert set(asked_days([c for c in calls if c.status == 200], one.world).values()) == {1}
    assert len(calls) <= 2 * 5 + 3, "four to five windows a meter"


def test_a_meter_that_refuses_everything_does_not_shorten_the_windows_of_others(bench, faults):
    """One broken meter made all that came after it 31 times as many calls: weeks instead of hours."""
    one = bench(world=PAIR)
    bad = one.world.sites[0].meters[0].id
    faults.add(about("meter_data", bad), Fault("status", status=400))
    report, calls = one.run_counted(*JUNE, datasets=("meter_intervals",))
    assert {failure.subject_id for failure in report.failures} == {bad}
    assert Counter(call.subject for call in calls if call.subject != bad) == {
        meter.id: 1 for meter in one.world.sites[0].meters[1:]
    }
    rows = one.coverage("meter_intervals").filter(subject_id=bad)
    assert set(rows["state"]) == {"failed"}
    assert rows.height == 30


def test_an_api_that_answers_only_so_long_a_span_is_understood(bench):
    """An answer cut at seven days left gaps of 23 days in every meter, healed by one call a run."""
    one = bench(world=PAIR, server={"answer_span": timedelta(days=7)})
    report, calls = one.run_counted(*JUNE, datasets=("meter_intervals",))
    assert report.is_good
    assert one.states("meter_intervals", *JUNE) == {"complete"}
    assert len(calls) <= 2 * 5 + 4
    for site in one.world.sites:
        for meter in site.meters:
            total = exact(one.current("meter_intervals").filter(meter_id=meter.id)["total"])
            assert total == one.world.month_truth(site.site_id, meter.id, JUNE[0]).total


def test_wrong_credentials_stop_at_once_and_claim_nothing(bench):
    """A typing error in the password took the directory for the wrong account."""
    one = bench(server={"username": "someone else"})
    with pytest.raises(AuthenticationError):
        one.run(*THREE_DAYS)
    assert not (one.data_dir / "account.json").exists()


def test_another_worlds_data_does_not_enter_the_lake(bench, worlds):
    """Demo data in a real lake can't be taken out again."""
    bench(world=ONE).run(DAY, datasets=("meter_intervals",))
    other = bench(world={**ONE, "seed": 8})
    with pytest.raises(ConfigurationError, match="another account"):
        other.run(DAY)
    assert other.series_calls() == []


# --- snapshots -----------------------------------------------------------------------------------------------------


def test_the_snapshot_of_a_past_day_never_changes_and_that_of_today_does(bench, faults, clock):
    """A tenant's name of today on last year's meter list rewrites history."""
    one = bench(world=ONE)
    today = clock.at.date()
    one.run(today - timedelta(days=1), today)
    yesterday = one.versions("meters").filter(day=today - timedelta(days=1))
    meter = one.world.sites[0].meters[0].id
    faults.add(
        about("meter_info"),
        rewriting(lambda rows: ({**row, "name": "New tenant"} if row["id"] == meter else row for row in rows)),
    )
    clock.at += timedelta(hours=2)
    one.run(today - timedelta(days=1), today)
    assert one.versions("meters").filter(day=today - timedelta(days=1)).equals(yesterday)
    names = one.versions("meters").filter(day=today, meter_id=meter).sort("fetched_at_utc")
    assert names["meter_name"].to_list() == [one.world.sites[0].meters[0].name, "New tenant"]
    assert one.current("meters").filter(day=today, meter_id=meter)["meter_name"].item() == "New tenant"
    clock.at += timedelta(days=1)
    one.run(today)
    assert one.versions("meters").filter(day=today, meter_id=meter).height == 2


def test_a_past_day_without_snapshot_gets_the_listing_of_the_run_and_says_when(bench, clock):
    """Without one, a backfilled month had no meters to join its intervals to."""
    one = bench(world=ONE)
    one.run(*THREE_DAYS, datasets=("meter_intervals",))
    rows = one.current("meters").filter(pl.col("day").is_between(*THREE_DAYS))
    assert rows.height == 3 * 2
    assert {at.date() for at in rows["fetched_at_utc"]} == {clock.at.date()}


def test_a_meter_that_vanishes_keeps_its_history_and_is_no_longer_asked(bench, faults, clock):
    """A removed meter took its past bills with it, or cost a refused call every night."""
    one = bench(world=ONE)
    gone = one.world.sites[0].meters[0].id
    one.run(*THREE_DAYS)
    before = one.versions("meter_intervals").filter(meter_id=gone)
    snapshot = one.versions("meters").filter(day=DAY)
    faults.add(about("meter_info"), rewriting(lambda rows: (row for row in rows if row["id"] != gone)))
    clock.at += timedelta(hours=1)
    report, calls = one.run_counted(DAY, DAY + timedelta(days=4))
    assert report.is_good
    assert gone not in {call.subject for call in calls}
    assert one.versions("meter_intervals").filter(meter_id=gone).equals(before)
    assert one.versions("meters").filter(day=DAY).equals(snapshot)
    today = one.versions("meters").filter(day=clock.at.date(), meter_id=gone)
    assert today["superseded_at_utc"].null_count() == 0
    faults.rules.clear()
    clock.at += timedelta(hours=1)
    one.run(DAY - timedelta(days=1))  # whoever asks for something lists the account, and finds it again
    _, calls = one.run_counted(DAY, DAY + timedelta(days=4))
    assert {call.subject for call in calls if call.endpoint == "meter_data"} == {gone}
    assert one.current("meters").filter(day=clock.at.date()).height == 2


def test_an_empty_listing_withdraws_nothing(bench, faults, clock):
    """A fault of the platform emptied the list of meters for an hour."""
    one = bench(world=ONE)
    one.run(*THREE_DAYS)
    before = one.current("meters").filter(day=clock.at.date())
    faults.add(about("meter_info"), Fault("status", status=200, body=[]))
    clock.at += timedelta(hours=1)
    one.run(*THREE_DAYS)
    assert one.current("meters").filter(day=clock.at.date()).equals(before)


def test_a_name_that_is_no_valid_text_stops_nothing(bench, faults):
    """A name cut inside an emoji is half a character: it landed, and every later run died on it at recovery."""
    one = bench(world=PAIR)
    faults.add(
        lambda request: request.endpoint in ("meter_info", "meter_data"),
        rewriting(lambda rows: ({**row, "name": "Solar \ud83d", "note": "\udc00"} for row in rows)),
    )
    for _ in range(2):
        assert one.run(DAY, datasets=("meter_intervals",)).is_good
    assert one.landed() == []
    assert {name[:6] for name in one.current("meters")["meter_name"]} == {"Solar "}


def test_a_listing_that_is_committed_late_changes_no_newer_one(bench, clock):
    """The listing of a killed run, committed in the evening, took a meter off the list that came at noon."""
    one = bench(world=ONE)
    site = one.world.sites[0]
    today = clock.at.date()
    one.run(today)
    clock.at += timedelta(hours=4)
    one.run(today)
    before, asked = one.current("meters").filter(day=today), one.coverage("meters").filter(day=today)
    late = Landed(
        dataset="meters",
        site_id=site.site_id,
        subject_id=site.site_id,
        timezone=site.zone.key,
        first_day=today,
        last_day=today,
        received_at_utc=clock.at - timedelta(hours=2),
        body=json.dumps([{**row, "name": "Old"} for row in one.server.answers.meter_info(site.site_id)[1:]]).encode(),
    )
    for _ in range(2):
        commit(Layout(one.data_dir), [late])
        current = one.current("meters").filter(day=today)
        assert current.drop("fetched_at_utc").equals(before.drop("fetched_at_utc"))
        assert one.coverage("meters").filter(day=today).drop("received").equals(asked.drop("received"))
    old = one.versions("meters").filter(day=today, meter_name="Old")
    assert old.height == 1, "it is history all the same"


def test_a_huge_number_in_a_listing_stops_nothing(bench, faults):
    """A whole number beyond 64 bits landed, and no later run got past its recovery."""
    one = bench(world=PAIR)
    faults.add(about("meter_info"), rewriting(lambda rows: ({**row, "prim_ad": 10**30} for row in rows)))
    for _ in range(2):
        assert one.run(DAY, datasets=("meter_intervals",)).is_good
    assert one.current("meters").filter(day=DAY)["primary_address"].to_list() == [None, None]
    assert one.landed() == []


def test_one_meter_that_never_answers_does_not_starve_the_rest_of_its_site(bench, faults):
    """Its window and the halves of it were three failures in a row, and every meter behind it went unasked for ever."""
    one = bench()
    site = one.world.sites[0]
    poison = site.meters[0].id
    faults.add(lambda request: request.subject == poison and request.endpoint == "meter_data", Fault("http_500"))
    report = one.run(*THREE_DAYS)
    assert {(failure.dataset, failure.subject_id) for failure in report.failures} == {("meter_intervals", poison)}
    rows = one.coverage("meter_intervals").filter(pl.col("day").is_between(*THREE_DAYS))
    others = rows.filter((pl.col("site_id") == site.site_id) & (pl.col("subject_id") != poison))
    assert set(others["subject_id"]) == {meter.id for meter in site.meters[1:]}
    assert set(others["state"]) == {"complete"}
