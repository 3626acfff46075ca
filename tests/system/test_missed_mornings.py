"""Mornings that nobody was there for: three days switched off, and what the daemon does when it is back.

The daemon is a real one; of the three days, what Dagster's storage holds is moved: since when the
schedule is on, and when it was looked at last.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from accounts import Account, account_for
from dagster import DagsterInstance
from dagster._core.scheduler.instigation import ScheduleInstigatorData
from playwright.sync_api import sync_playwright
from service_parts import Service, wait_until
from test_ui import CHROMIUM, FLAGS

from climkit_pipeline.simulator import SimulatorServer, World

pytestmark = pytest.mark.filterwarnings("default")

ZONE = ZoneInfo("Europe/Zurich")
SCHEDULE = {
    "repositoryLocationName": "climkit", "repositoryName": "__repository__", "scheduleName": "daily_look_back"
}  # fmt: skip
ONE_MORE_LOOK_SECONDS = 75
LOOK_BACK_DAYS = 2
"""Shorter than the time that nobody was there: what was missed is what decides."""


def last_morning(now: datetime) -> datetime:
    """When the schedule was due last."""
    due = now.replace(hour=6, minute=30, second=0, microsecond=0)
    return due if due <= now else due - timedelta(days=1)


@pytest.fixture(scope="module")
def account(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Account]:
    with SimulatorServer(World(seed=7, sites=1, meters=4), requests_per_second=500) as server:
        yield account_for(server, tmp_path_factory.mktemp("missed"))


@pytest.fixture
def service(account: Account) -> Iterator[Service]:
    service = Service(account.environment | {"CLIMKIT_LOOKBACK_DAYS": str(LOOK_BACK_DAYS)}, account.folder)
    yield service
    if service.process is not None and service.process.poll() is None:
        service.stop()


def scheduled_runs(service: Service) -> list[dict[str, Any]]:
    """The runs that the schedule started, newest first: their status and tags."""
    found = service.ask(
        """
        query($filter: RunsFilter!) {
          runsOrError(filter: $filter) { ... on Runs { results { status tags { key value } } } }
        }
        """,
        filter={"tags": [{"key": "dagster/schedule_name", "value": "daily_look_back"}]},
    )
    return [
        {"status": run["status"]} | {tag["key"]: tag["value"] for tag in run["tags"]}
        for run in found["runsOrError"]["results"]
    ]


def on_since(home: Path, moment: datetime) -> None:
    """What the storage holds if the schedule was switched on then, and no daemon has run since."""
    with DagsterInstance.from_config(str(home)) as instance:
        (state,) = [each for each in instance.all_instigator_state() if each.name == "daily_look_back"]
        assert isinstance(state.instigator_data, ScheduleInstigatorData)
        looked = moment.timestamp()
        moved = state.instigator_data._replace(start_timestamp=looked, last_iteration_timestamp=looked)
        instance.update_instigator_state(state.with_data(moved))


def test_three_missed_mornings_are_caught_up_once(account: Account, service: Service, tmp_path: Path) -> None:
    due = last_morning(datetime.now(ZONE))
    newest = due.date() - timedelta(days=4)  # the day before the last morning that was not missed
    done = account.climkit("backfill", str(newest - timedelta(days=2)), str(newest), "--no-models")
    assert done.status == 0, done.err
    service.start()
    service.ask(
        "mutation($selector: ScheduleSelector!) { startSchedule(scheduleSelector: $selector) { __typename } }",
        selector=SCHEDULE,
    )
    service.stop()
    on_since(account.data_dir / "dagster", due - timedelta(days=3) + timedelta(hours=1))

    service.start()

    def caught_up() -> dict[str, Any] | None:
        run = next(iter(scheduled_runs(service)), None)
        return run if run is not None and run["status"] in {"SUCCESS", "FAILURE", "CANCELED"} else None

    wait_until(lambda: scheduled_runs(service), "the run that catches up")
    asked_for = time.time()
    run = wait_until(caught_up, "the end of the run that catches up")
    assert run["status"] == "SUCCESS"
    # Its own look-back of two days does not reach what was missed.
    assert run["dagster/asset_partition_range_start"] == str(newest + timedelta(days=1))
    assert run["dagster/asset_partition_range_end"] == str(due.date() - timedelta(days=1))
    assert run["climkit/asks"] == "3 days, 1 calls per meter and series"
    shows_on_the_page_of_ticks(service, tmp_path / "ticks.png")
    # The schedule is looked at every minute: at least once more since that run was asked for.
    time.sleep(max(0.0, asked_for + ONE_MORE_LOOK_SECONDS - time.time()))
    assert len(scheduled_runs(service)) == 1


def shows_on_the_page_of_ticks(service: Service, picture: Path) -> None:
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        page = browser.new_page(base_url=f"http://127.0.0.1:{service.port}", viewport={"width": 1500, "height": 1000})
        page.set_default_timeout(300_000)
        page.goto("/locations/climkit/schedules/daily_look_back")
        page.get_by_text("1 run requested").first.wait_for()
        page.screenshot(path=picture)
        browser.close()
