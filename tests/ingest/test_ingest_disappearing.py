"""What disappears and comes back (sites, the ends of answers), what is not said (zones), what must not be (secrets)."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import polars as pl
import pytest
from ingest_bench import ENDPOINTS, SERIES, lacking, rewriting, stamp

from climkit_pipeline.simulator import Fault

DAY = date(2026, 6, 10)
DAYS = DAY, DAY + timedelta(days=1)
LATER = DAY + timedelta(days=2), DAY + timedelta(days=3)
QUIET = datetime(2026, 6, 11, 9, tzinfo=UTC)
BOTH = {"sites": 2, "meters": 2}


def without(site_id):
    return rewriting(lambda rows: [row for row in rows if row["id"] != site_id])


def rows_of(one, site_id):
    return {name: one.versions(name).filter(site_id=site_id) for name in ("sites", "meters", *SERIES)}


def test_a_site_that_leaves_the_list_keeps_its_history_costs_no_call_and_is_noticed_when_it_returns(
    bench, faults, clock
):
    """A customer who left took last year's bills along, or cost a refused call for every meter every night."""
    one = bench(world=BOTH)
    gone, stays = (site.site_id for site in one.world.sites)
    assert one.run(*DAYS).is_good
    before = rows_of(one, gone)
    faults.add(lambda request: request.endpoint == "all_installations", without(gone))
    clock.at += timedelta(days=1)
    for refetch in (False, True):
        report, calls = one.run_counted(DAY, LATER[1], refetch=refetch)
        assert report.is_good
        assert {call.site_id for call in one.server.calls if call.site_id} == {stays}
        assert {call.site_id for call in calls} == {stays}
    for name, rows in rows_of(one, gone).items():
        assert rows.equals(before[name]), name
    assert set(one.current("sites").filter(day=clock.at.date())["site_id"]) == {stays}
    faults.rules.clear()
    clock.at += timedelta(days=1)
    report, calls = one.run_counted(DAY, LATER[1])
    assert report.is_good
    assert {call.site_id for call in calls} == {gone}
    assert len(calls) == len({(call.endpoint, call.subject) for call in calls}), "days known before are not asked again"
    assert one.states("meter_intervals", DAY, LATER[1]) == {"complete"}
    assert set(one.current("sites").filter(day=clock.at.date())["site_id"]) == {gone, stays}


def test_a_list_without_any_site_withdraws_nothing_and_fails_nothing(bench, faults, clock):
    """A fault of the platform emptied the list for an hour: everything seemed to have disappeared."""
    one = bench(world=BOTH)
    assert one.run(*DAYS).is_good
    before = one.meaning(coverage=False)
    faults.add(lambda request: request.endpoint == "all_installations", rewriting(lambda _: []))
    clock.at += timedelta(hours=1)
    report, calls = one.run_counted(*DAYS, refetch=True)
    assert report.is_good
    assert calls == []
    assert one.meaning(coverage=False) == before


@pytest.mark.parametrize(
    "fault", [Fault("short", share=0.3), Fault("short", share=0.95), lacking(QUIET, QUIET + timedelta(days=9))],
    ids=["cut by a third", "almost nothing", "silent from a moment on"],
)  # fmt: skip
def test_answers_without_their_last_rows_withdraw_nothing_however_often_they_come(bench, faults, fault):
    """Two cut answers in a row looked like two answers that agree: the end of the month was taken off the bill."""
    one = bench(world={"sites": 1, "meters": 2})
    assert one.run(*DAYS).is_good
    before = one.meaning(coverage=False)
    faults.add(lambda request: request.endpoint in ENDPOINTS, fault)
    for _ in range(2):
        one.run(*DAYS, refetch=True)
        assert one.meaning(coverage=False) == before


# --- timestamps without a zone --------------------------------------------------------------------------------------


def zoneless(zone):
    """Series whose stamps say the time in ``zone`` and not which zone."""
    return rewriting(
        lambda rows: [
            {**row, "timestamp": stamp(row).astimezone(zone).replace(tzinfo=None).isoformat()} for row in rows
        ]
    )


CHANGES = {"plain": DAYS, "spring": (date(2026, 3, 29), date(2026, 3, 29)), "autumn": (date(2026, 10, 25),) * 2}


@pytest.mark.parametrize("days", CHANGES.values(), ids=CHANGES)
def test_zoneless_utc_makes_the_same_lake(bench, faults, days):
    """The API takes zone-less UTC; an answer in the same form must not move by an hour, on change days neither."""
    one = bench(world={"sites": 1, "meters": 3}, directory="stated")
    assert one.run(*days).is_good
    other = bench(world={"sites": 1, "meters": 3}, directory="zoneless")
    faults.add(lambda request: request.endpoint in ENDPOINTS, zoneless(UTC))
    assert other.run(*days).is_good
    assert other.meaning() == one.meaning()


@pytest.mark.parametrize("days", CHANGES.values(), ids=CHANGES)
def test_zoneless_local_time_is_refused_by_name_and_nothing_of_it_is_kept(bench, faults, days):
    """Read as UTC, a whole house's bill moves by an hour or two, and nothing shows it."""
    one = bench(world={"sites": 1, "meters": 3})
    faults.add(lambda request: request.endpoint in ENDPOINTS, zoneless(one.world.sites[0].zone))
    report = one.run(*days)
    assert len(report.failures) == len({(each.dataset, each.subject_id) for each in report.failures}) == 9
    assert all("timestamps without a zone" in failure.reason for failure in report.failures)
    assert all(one.versions(dataset).is_empty() for dataset in SERIES)
    for dataset in SERIES:
        rows = one.coverage(dataset).filter(pl.col("day").is_between(*days))
        assert set(rows["state"]) == {"failed"}


# --- secrets --------------------------------------------------------------------------------------------------------


def test_no_object_of_a_run_shows_a_password_or_a_token(bench):
    """A repr in a traceback or a log line is the way a secret leaves."""
    one = bench(world={"sites": 1, "meters": 2})
    report = one.run(DAY)
    ingestion = one.ingestion
    token = ingestion.client._token  # noqa: SLF001 - the secret itself, to look for it
    assert token is not None
    listings = ingestion.listings(ingestion.open_account())
    objects = [
        ingestion, ingestion.settings, ingestion.client, ingestion._fetcher, token, report, listings,  # noqa: SLF001
        ingestion.plan(report.request, listings.sites), listings.sites[0].answers,
    ]  # fmt: skip
    for each in objects:
        shown = f"{each!r} {each!s} {vars(each) if each is ingestion.settings else ''}"
        assert token.text not in shown
        assert "demo-simulator" not in shown
