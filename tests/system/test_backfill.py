"""A backfill from the UI, with a real daemon: cut into runs of a window, cancelled in the second, taken up again."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import date, timedelta
from itertools import pairwise
from operator import itemgetter
from typing import Any

import pytest
from accounts import Account, account_for
from service_parts import Service, wait_until

from climkit_pipeline.lake.schemas import DATASETS
from climkit_pipeline.simulator import SimulatorServer, World
from climkit_pipeline.simulator.faults import Request

pytestmark = pytest.mark.filterwarnings("default")

WINDOW = 31
LAST = date.today() - timedelta(days=1)  # noqa: DTZ011 - partitions are days of the machine's calendar, near enough
DAYS = [LAST - timedelta(days=n) for n in reversed(range(2 * WINDOW))]
SERIES = "meter_intervals"
ENDPOINTS = {"meter_data", "site_data", "meter_data_raw", "sensor_data"}
ANSWERED_BEFORE_THE_HOLD = 5
HELD_AT_MOST_SECONDS = 600.0


class Hold:
    """Answers the first calls for the second run's days and holds the next, so that a cancel meets that run at work."""

    def __init__(self) -> None:
        self.is_reached = threading.Event()
        self.is_over = threading.Event()
        self._asked = 0

    def __call__(self, request: Request) -> None:
        # A window begins up to a day before its first day.
        if request.t_s is None or request.t_s.date() < DAYS[WINDOW] - timedelta(days=2):
            return
        self._asked += 1
        if self._asked > ANSWERED_BEFORE_THE_HOLD and not self.is_over.is_set():
            self.is_reached.set()
            self.is_over.wait(HELD_AT_MOST_SECONDS)


@pytest.fixture(scope="module")
def hold() -> Hold:
    return Hold()


@pytest.fixture(scope="module")
def server(hold: Hold) -> Iterator[SimulatorServer]:
    with SimulatorServer(World(seed=7, sites=2, meters=4), requests_per_second=500, interceptor=hold) as running:
        yield running
        hold.is_over.set()


@pytest.fixture(scope="module")
def account(server: SimulatorServer, tmp_path_factory: pytest.TempPathFactory) -> Account:
    return account_for(server, tmp_path_factory.mktemp("backfill"))


@pytest.fixture(scope="module")
def service(account: Account) -> Iterator[Service]:
    service = Service(account.environment, account.folder)
    service.start()
    yield service
    if service.process is not None and service.process.poll() is None:
        service.stop()


def launch(service: Service) -> str:
    answer = service.ask(
        """
        mutation($params: LaunchBackfillParams!) {
          launchPartitionBackfill(backfillParams: $params) {
            __typename ... on LaunchBackfillSuccess { backfillId } ... on PythonError { message }
          }
        }
        """,
        params={
            "partitionNames": [day.isoformat() for day in DAYS],
            "assetSelection": [{"path": ["climkit", name]} for name in DATASETS],
        },
    )
    assert answer["launchPartitionBackfill"]["__typename"] == "LaunchBackfillSuccess", answer
    found: str = answer["launchPartitionBackfill"]["backfillId"]
    return found


def runs_of(service: Service, backfill: str) -> list[dict[str, Any]]:
    """The backfill's runs, oldest first."""
    found = service.ask(
        """
        query($filter: RunsFilter!) {
          runsOrError(filter: $filter) { ... on Runs { results { runId status startTime endTime tags { key value } } } }
        }
        """,
        filter={"tags": [{"key": "dagster/backfill", "value": backfill}]},
    )
    runs: list[dict[str, Any]] = found["runsOrError"]["results"]
    return runs[::-1]


def days_of(run: dict[str, Any]) -> set[str]:
    tags = {tag["key"]: tag["value"] for tag in run["tags"]}
    first, last = (tags[f"dagster/asset_partition_range_{end}"] for end in ("start", "end"))
    return {day.isoformat() for day in DAYS if first <= day.isoformat() <= last}


def green_days(service: Service) -> set[str]:
    found = service.ask(
        """
        query($key: AssetKeyInput!) {
          assetNodeOrError(assetKey: $key) {
            ... on AssetNode {
              assetPartitionStatuses { ... on TimePartitionStatuses { ranges { status startKey endKey } } }
            }
          }
        }
        """,
        key={"path": ["climkit", SERIES]},
    )
    ranges = found["assetNodeOrError"]["assetPartitionStatuses"]["ranges"]
    green = [(each["startKey"], each["endKey"]) for each in ranges if each["status"] == "MATERIALIZED"]
    return {day.isoformat() for day in DAYS if any(first <= day.isoformat() <= last for first, last in green)}


def is_one_at_a_time(service: Service, backfill: str) -> bool:
    """So that the morning's run and a refresh find a place."""
    runs = sorted(runs_of(service, backfill), key=itemgetter("startTime"))
    return all(earlier["endTime"] <= later["startTime"] for earlier, later in pairwise(runs))


def states(service: Service, backfill: str) -> list[str]:
    return sorted(run["status"] for run in runs_of(service, backfill))


def test_a_backfill_shows_what_it_does_and_goes_on_where_it_was_cancelled(
    server: SimulatorServer, hold: Hold, account: Account, service: Service
) -> None:
    """It was one run: nothing green before its end, and nothing after a cancel, although the data were there."""
    first = launch(service)
    wait_until(hold.is_reached.is_set, "the second run of the backfill")
    done = [run for run in runs_of(service, first) if run["status"] == "SUCCESS"]
    assert len(done) == 1
    assert len(days_of(done[0])) == WINDOW
    assert days_of(done[0]) <= green_days(service)
    # What it printed is on its page.
    printed = list((account.data_dir / "dagster" / "storage" / done[0]["runId"]).rglob("*.err"))
    assert len(printed) == 1
    assert " - ingest - calls: " in printed[0].read_text()
    service.ask("mutation($id: String!) { cancelPartitionBackfill(backfillId: $id) { __typename } }", id=first)
    wait_until(lambda: not {"STARTED", "QUEUED", "CANCELING"} & set(states(service, first)), "the end of the backfill")
    hold.is_over.set()
    assert is_one_at_a_time(service, first)
    assert states(service, first) == ["CANCELED", "SUCCESS"]
    green = green_days(service)
    finished = [days_of(run) for run in runs_of(service, first) if run["status"] == "SUCCESS"]
    assert set().union(*finished) <= green < {day.isoformat() for day in DAYS}
    # What was received before the cancel is in the lake: it is not asked for again.
    asked = windows(server)
    second = launch(service)
    wait_until(lambda: states(service, second) == ["SUCCESS"] * 2, "the end of the second backfill")
    assert is_one_at_a_time(service, second)
    assert green_days(service) == {day.isoformat() for day in DAYS}
    again = [window for window in windows(server) if windows(server).count(window) > 1]
    assert len(set(again)) <= 1, "more than the call in flight was made twice"
    assert len(windows(server)) > len(asked)

    # Complete: green within seconds, and no call.
    before = len(server.calls)
    third = launch(service)
    wait_until(lambda: states(service, third) == ["SUCCESS"] * 2, "the end of the third backfill")
    assert len(server.calls) == before

    # Six ingestions, one of them cancelled: refreshes were never two at once, and fewer than runs.
    def models() -> list[str] | None:
        found = [status for job, status in service.runs().values() if job == "refresh_models"]
        return None if {"NOT_STARTED", "STARTED", "QUEUED", "STARTING"} & set(found) else found

    refreshes = wait_until(models, "the last refresh")
    assert 1 <= len(refreshes) <= 6
    assert set(refreshes) == {"SUCCESS"}
    assert (account.data_dir / "warehouse.duckdb").exists()


def windows(server: SimulatorServer) -> list[tuple[Any, ...]]:
    """The series calls that were answered: endpoint, site, subject and window."""
    return [
        (call.endpoint, call.site_id, call.subject, call.t_s, call.t_e)
        for call in server.calls
        if call.endpoint in ENDPOINTS and call.status == 200
    ]
