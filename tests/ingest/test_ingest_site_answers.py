"""One call for a whole site: what it saves, counted by the server, and that a faulty answer changes nothing."""

from __future__ import annotations

import shutil
from collections import Counter
from contextlib import ExitStack
from datetime import UTC, date, datetime, timedelta

import polars as pl
import pytest
from ingest_bench import Bench, Clock, Faults, lacking, read_lake, rewriting, stamp

from climkit_pipeline.ingest.comparisons import read_proofs
from climkit_pipeline.ingest.reports import IngestRequest
from climkit_pipeline.ingest.site_groups import expected_calls
from climkit_pipeline.simulator import Fault, SimulatorServer

INTERVALS = {"datasets": ("meter_intervals", "site_intervals")}
SUMMER = date(2026, 7, 15), date(2026, 9, 16)
"""More than two windows of a month hold."""
DAYS = date(2026, 9, 1), date(2026, 9, 3)
BEFORE = date(2026, 8, 1), date(2026, 8, 3)
SMALL = {"sites": 1, "meters": 9}  # five of electricity: a flat, the grid, a plant, a sum, common areas
WIDE = {"wide_columns": True}


def comparisons(one):
    return read_lake(one.data_dir, "answer_comparisons", "data").sort("compared_at_utc")


def values_in(data_dir):
    """The current values of meters, whenever they came."""
    rows = read_lake(data_dir, "meter_intervals", "data").filter(pl.col("superseded_at_utc").is_null())
    return rows.sort("meter_id", "interval_start_utc").select(
        "meter_id", "interval_start_utc", "interval_end_utc", "total", "solar", "grid"
    )


def electric(one, calls):
    ids = {meter.id for site in one.world.sites for meter in site.meters if meter.type == "electricity"}
    return [call for call in calls if call.subject in ids | {"electricity"}]


def only_electric(one, faults):
    """The account lists meters of electricity alone, and the charge points that count as part of it."""
    ids = {
        meter.id for site in one.world.sites for meter in site.meters if meter.type in {"electricity", "charge_point"}
    }
    faults.add(
        lambda request: request.endpoint == "meter_info",
        Fault("rewrite", rewrite=lambda rows: [row for row in rows if row["id"] in ids]),
    )


@pytest.fixture(scope="module")
def kept(tmp_path_factory, worlds):
    """Data directories by name: what meters' own answers say, and one in which the later days prove the site."""
    worlds.clock = Clock()
    root, faults = tmp_path_factory.mktemp("kept"), Faults()
    options = {"requests_per_second": None, "interceptor": faults, "wide_columns": True}
    with ExitStack() as stack:
        server = stack.enter_context(SimulatorServer(worlds.get(**SMALL), **options))
        for name, mode in (("truth", "never"), ("proven", "auto"), ("both", "auto")):
            one = Bench(server, root / name, root / "state", worlds.clock, {"site_answers": mode})
            stack.push(one.stack)
            only_electric(one, faults)
            for days in (DAYS, BEFORE)[: 1 if name == "proven" else 2]:
                assert one.run(*days, **INTERVALS).is_good
    return root


@pytest.fixture
def begun(bench, faults, kept, tmp_path):
    """A bench that goes on from one of the directories that are kept."""

    def get(name, **settings):
        if name:
            shutil.copytree(kept / name, tmp_path / "data")
        one = bench(world=SMALL, server=WIDE, **settings)
        only_electric(one, faults)
        return one

    return get


@pytest.fixture
def truth(kept):
    return values_in(kept / "truth")


def wide_fault(change, endpoint="site_data", subject="electricity"):
    """A rule and a fault that change rows of the site's answer."""
    return (lambda request: (request.endpoint, request.subject) == (endpoint, subject)), rewriting(
        lambda rows: [change(dict(row)) for row in rows]
    )


def test_three_months_of_two_sites_with_ten_meters_take_six_calls_and_a_sample(bench, faults):
    """A call for each meter and month was 30 of them."""
    one = bench(world={"meters": 9}, server=WIDE)
    only_electric(one, faults)
    report, calls = one.run_counted(*SUMMER, **INTERVALS)
    assert report.is_good
    own = electric(one, calls)
    meters = {meter.id for site in one.world.sites for meter in site.meters if meter.type == "electricity"}
    assert len(meters) == 10
    compared = comparisons(one).filter(meter_type="electricity")
    assert set(compared["outcome"]) == {"equal"}
    assert len(own) - compared.height <= 13
    by_endpoint = Counter(call.endpoint for call in own)
    assert by_endpoint["site_data"] == 6
    # Each meter once, then one window of each site in each further month.
    assert by_endpoint["meter_data"] == compared.height == 10 + 2 * 2
    for site in one.world.sites:
        for meter in site.of_kind("flat", "photovoltaics")[:2]:
            total = one.current("meter_intervals").filter(meter_id=meter.id)["total"].sum()
            assert total == pytest.approx(float(one.world.truth_between(site.site_id, meter.id, *SUMMER).total))
    assert one.states("meter_intervals", *SUMMER) == {"complete"}
    assert one.run_counted(*SUMMER, **INTERVALS)[1] == []


def test_what_is_taken_from_a_sites_answer_says_so_and_is_what_the_meters_say(begun, truth):
    one = begun("both")
    assert values_in(one.data_dir).equals(truth)
    before = one.coverage("meter_intervals").filter(pl.col("day").is_between(*BEFORE))
    filled = before.filter(detail="from the site's answer")
    assert filled["subject_id"].n_unique() == 4  # of five, one was compared
    # Rows bear the instant of the answer that they come from, whose hash stands in the ledger.
    calls = read_lake(one.data_dir, "api_calls", "data").filter(endpoint="site_data", outcome="ok")
    assert calls["sha256"].null_count() == 0
    purposes = Counter(read_lake(one.data_dir, "api_calls", "data")["purpose"])
    assert purposes["comparison"] == comparisons(one).height
    assert purposes["history"] == purposes.total() - purposes["comparison"] - purposes[None]
    rows = one.current("meter_intervals").filter(pl.col("day").is_between(*BEFORE))
    rows = rows.join(filled, left_on=["meter_id", "day"], right_on=["subject_id", "day"], how="semi")
    assert not rows.is_empty()
    assert set(rows["fetched_at_utc"]) <= set(one.current("site_intervals")["fetched_at_utc"])


def test_without_columns_every_meter_is_asked_as_before(bench, faults):
    """Absent columns mean calls, never zeros."""
    one = bench(world=SMALL)
    only_electric(one, faults)
    report, calls = one.run_counted(*DAYS, **INTERVALS)
    assert report.is_good
    assert Counter(call.endpoint for call in electric(one, calls)) == {"meter_data": 5, "site_data": 1}
    assert not list((one.data_dir / "lake/answer_comparisons").glob("day=2*"))


def zero(meter):
    return lambda row: row | {name: 0.0 for name in row if name.endswith(meter.id)}


def half_zero(meter):
    return lambda row: row | {name: 0.0 for name in row if name.endswith(meter.id) and stamp(row).hour < 12}


def without(meter):
    return lambda row: {name: value for name, value in row.items() if not name.endswith(meter.id)}


def without_part(meter):
    return lambda row: {name: value for name, value in row.items() if name != f"ext_{meter.id}"}


def null(meter):
    return lambda row: row | {name: None for name in row if name.endswith(meter.id) and stamp(row).hour < 12}


def text(meter):
    return lambda row: row | {f"total_{meter.id}": "n/a"}


def without_sun(meter):
    return lambda row: row | {f"self_{meter.id}": 0.0}


BROKEN = {each.__name__: each for each in (zero, half_zero, without, without_part, null, text, without_sun)}


@pytest.mark.parametrize("kind", [*BROKEN, "short", "empty"])
def test_a_broken_column_of_a_proven_site_is_asked_for_by_the_meter(begun, faults, truth, kind):
    """What an answer about a site states wrongly, or not at all, must not become what a meter is billed for."""
    one = begun("proven")
    flat = one.world.sites[0].meters[0]
    if kind in BROKEN:
        faults.add(*wide_fault(BROKEN[kind](flat)))
    else:
        faults.add(lambda request: request.endpoint == "site_data", Fault(kind), times=2)
    report = one.run(*BEFORE, **INTERVALS)
    assert report.is_good
    assert values_in(one.data_dir).equals(truth)
    assert one.states("meter_intervals", *BEFORE) == {"complete"}


@pytest.mark.parametrize("kind", ["new", "out"])
def test_a_day_of_nothing_but_0_is_asked_for_by_the_meter(begun, faults, kind):
    """An answer about a site may say 0 of a meter that was not there, or was out, and all its sums are right."""
    one = begun("proven")
    flat = one.world.sites[0].meters[0]
    first, last = {"new": (-1, 1), "out": (1, 2)}[kind]
    start, end = (datetime(2026, 7, 31, 22, tzinfo=UTC) + timedelta(days=days) for days in (first, last))

    def absent(row):
        if start < stamp(row) <= end:
            total = row[f"total_{flat.id}"]
            row |= {name: 0.0 for name in row if name.endswith(flat.id)} | {"conso_total": row["conso_total"] - total}
        return row

    faults.add(*wide_fault(absent))
    faults.add(lambda request: (request.endpoint, request.subject) == ("meter_data", flat.id), lacking(start, end))
    one.run(*BEFORE, **INTERVALS)
    own = one.coverage("meter_intervals").filter(pl.col("day").is_between(*BEFORE), subject_id=flat.id).sort("day")
    other = {"new": "empty", "out": "gap"}[kind]
    expected = ["complete"] * 3
    expected[last - 1] = other
    assert own["state"].to_list() == expected


def swapped(first, second):
    names = {f"{part}_{one.id}": f"{part}_{other.id}" for part in ("total", "self", "ext")
             for one, other in ((first, second), (second, first))}  # fmt: skip
    return lambda row: {names.get(name, name): value for name, value in row.items()}


def clipped(meters):
    def change(row):
        for meter in meters:
            if row.get(f"self_{meter.id}"):
                row |= {f"self_{meter.id}": 0.0, f"ext_{meter.id}": row[f"total_{meter.id}"]}
        return row

    return change


def changes(one):
    """Columns that are another meter's, or are clipped: they look right in every sum."""
    flat, common = one.world.sites[0].meters[0], one.world.sites[0].meters[8]
    return {
        "swapped": swapped(flat, common),
        "clipped": clipped(one.world.sites[0].meters),
        "half_zero": half_zero(flat),
    }


@pytest.mark.parametrize("kind", ["swapped", "clipped", "half_zero"])
def test_columns_that_were_never_right_do_not_reach_the_lake(begun, faults, truth, kind):
    one = begun(None)
    faults.add(*wide_fault(changes(one)[kind]))
    for days in (DAYS, BEFORE):
        assert one.run(*days, **INTERVALS).is_good
    assert values_in(one.data_dir).equals(truth)
    assert "differs" in set(comparisons(one)["outcome"])


@pytest.mark.parametrize("kind", ["swapped", "clipped", "half_zero"])
def test_columns_that_turn_wrong_change_nothing_that_is_stored(begun, faults, truth, kind):
    """A revision is believed of the meter's own answer alone."""
    one = begun("both")
    before = one.versions("meter_intervals").height
    faults.add(*wide_fault(changes(one)[kind]))
    for days in (DAYS, BEFORE):
        assert one.run(*days, refetch=True, **INTERVALS).is_good
    assert values_in(one.data_dir).equals(truth)
    assert one.versions("meter_intervals").height == before, "nothing was revised to and fro"
    found = read_lake(one.data_dir, "findings", "data")
    assert "site_answer_differs" in set(found["code"]), "and somebody is told"


def test_a_killed_run_leaves_the_stored_digits_to_whoever_commits_its_answers(begun, faults):
    """What two ways of adding leave of equal values is no revision, whichever process commits it."""
    one = begun("both")
    before = one.versions("meter_intervals").height
    faults.add(*wide_fault(lambda row: {
        name: value + 1e-13 if name.startswith(("total_", "self_", "ext_")) else value for name, value in row.items()
    }))  # fmt: skip
    process = one.start_process(*BEFORE, die_at_rename=1, refetch=True, **INTERVALS)
    assert process.wait(120) == -9
    one.new_ingestion().recover()
    assert one.landed() == []
    assert one.versions("meter_intervals").height == before


def test_a_difference_switches_the_site_off_is_told_and_is_tried_again_after_a_month(begun, faults, clock):
    one = begun(None)
    meters = [meter for meter in one.world.sites[0].meters if meter.type == "electricity"]
    faults.add(*wide_fault(changes(one)["swapped"]))
    report = one.run(*DAYS, **INTERVALS)
    assert "site_answer_differs" in {finding.code for finding in report.news}
    assert "differs" in set(comparisons(one)["outcome"])
    findings = read_lake(one.data_dir, "findings", "data").filter(code="site_answer_differs")
    assert set(findings["site_id"]) == {one.world.sites[0].site_id}
    faults.rules.pop()
    compared = comparisons(one).height
    _, calls = one.run_counted(*BEFORE, **INTERVALS)
    assert len([call for call in electric(one, calls) if call.endpoint == "meter_data"]) == len(meters)
    assert comparisons(one).height == compared
    clock.at += timedelta(days=31)
    one.run(*DAYS, refetch=True, **INTERVALS)
    assert comparisons(one).height == compared + len(meters)
    _, calls = one.run_counted(*BEFORE, refetch=True, **INTERVALS)
    assert len([call for call in electric(one, calls) if call.endpoint == "meter_data"]) == 1


def test_a_setting_forces_either_way(begun, faults, truth):
    one = begun(None, site_answers="always")
    _, calls = one.run_counted(*DAYS, **INTERVALS)
    assert Counter(call.endpoint for call in electric(one, calls)) == {"site_data": 1}
    never = Bench(one.server, one.data_dir, one.state_dir, one.clock, {"site_answers": "never"}, one.stack)
    _, calls = never.run_counted(*BEFORE, **INTERVALS)
    assert Counter(call.endpoint for call in electric(one, calls)) == {"site_data": 1, "meter_data": 5}
    assert values_in(one.data_dir).equals(truth)


def test_a_proven_sites_answer_is_worth_a_call_where_meters_alone_are_asked_for(begun):
    one = begun("proven")
    _, calls = one.run_counted(*BEFORE, datasets=("meter_intervals",))
    assert Counter(call.endpoint for call in electric(one, calls)) == {"site_data": 1, "meter_data": 1}


def test_a_plan_says_what_a_proven_site_will_take(begun):
    one = begun("proven")
    ingestion = one.new_ingestion()
    request = IngestRequest(*BEFORE, **INTERVALS)
    plan = ingestion.plan(request, ingestion.listings_for(request).sites)
    planned = {
        mode: expected_calls(plan, read_proofs(ingestion.layout, one.clock.now()), mode)
        for mode in ("auto", "always", "never")
    }
    # Five meters of electricity and a charge point, and their two types.
    assert planned["never"] == {"history": 8}
    assert planned["auto"] == {"history": 3, "comparison": 1}
    assert planned["always"] == {"history": 3}
    _, calls = one.run_counted(*BEFORE, **INTERVALS)
    assert len(calls) == planned["auto"].total()


def test_a_meter_that_is_new_at_a_proven_site_is_compared_before_it_is_believed(begun, faults):
    one = begun(None)
    hidden = one.world.sites[0].meters[8].id
    faults.rules.insert(
        0,
        (
            lambda request: request.endpoint == "meter_info",
            Fault("rewrite", rewrite=lambda rows: [row for row in rows[:4] if row["id"] != hidden]),
            None,
        ),
    )
    one.run(*DAYS, **INTERVALS)
    del faults.rules[0]
    _, calls = one.run_counted(*BEFORE, **INTERVALS)
    asked = [call.subject for call in electric(one, calls) if call.endpoint == "meter_data"]
    assert hidden in asked
    assert len(asked) == 2
    assert hidden in set(comparisons(one)["meter_id"])
