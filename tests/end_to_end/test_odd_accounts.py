"""Accounts that are not like the demo's: no site, no sensors, one dataset, a part that fails, another's directory."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from accounts import (
    HANGS_AFTER_SECONDS,
    RANGE,
    USERNAME,
    Account,
    Finished,
    account_for,
    assert_refused,
    bare_environment,
    climkit_command,
)

from climkit_pipeline.simulator import Fault, Request, SimulatorServer, World

pytestmark = pytest.mark.story


@pytest.fixture(scope="module")
def server() -> Iterator[SimulatorServer]:
    with SimulatorServer(World(seed=3, sites=1, meters=3), requests_per_second=None) as server:
        yield server


@pytest.fixture(scope="module", autouse=True)
def nobody_there(tmp_path_factory: pytest.TempPathFactory) -> Iterator[subprocess.Popen[str]]:
    """A command on an address where nobody answers; it takes a minute, so it runs beside the module's other tests."""
    folder = tmp_path_factory.mktemp("nobody")
    environment = bare_environment(folder) | {
        "CLIMKIT_USERNAME": "demo",
        "CLIMKIT_PASSWORD": "demo-simulator",
        "CLIMKIT_STATE_DIR": str(folder / "state"),
        "CLIMKIT_DATA_DIR": str(folder / "data"),
    }
    with subprocess.Popen(
        [climkit_command(), *RANGE],
        env=environment, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        yield process
        process.kill()


@pytest.fixture
def account(server: SimulatorServer, tmp_path: Path) -> Account:
    return account_for(server, tmp_path)


def test_a_data_directory_of_another_account_is_refused(account: Account) -> None:
    assert account.climkit(*RANGE, "--no-models").status == 0
    before = sorted(account.data_dir.rglob("*.parquet"))
    with SimulatorServer(World(seed=4, sites=1, meters=3), requests_per_second=None) as other:
        refused = account.climkit(*RANGE, BASE_URL=other.base_url)
    assert_refused(refused, 2, "another account")
    assert sorted(account.data_dir.rglob("*.parquet")) == before
    assert USERNAME not in (account.data_dir / "account.json").read_text()


def test_one_dataset_alone_works_and_leaves_the_others_alone(account: Account, server: SimulatorServer) -> None:
    server.forget_calls()
    finished = account.climkit(*RANGE, "--dataset", "meter_intervals")
    assert finished.status == 0, finished.err
    assert {call.endpoint for call in server.calls if "data" in call.endpoint} == {"meter_data"}
    rows = account.rows("select count(*), count(index_start), count(*) filter (total > 0) from billing_monthly")
    assert rows == [(3, 0, 3)]


def test_an_account_without_any_site_works(tmp_path: Path) -> None:
    with SimulatorServer(World(seed=3, sites=0), requests_per_second=None) as server:
        account = account_for(server, tmp_path)
        finished = account.climkit(*RANGE)
    assert finished.status == 0, finished.err
    assert account.rows("select count(*) from billing_monthly") == [(0,)]


def test_a_failing_site_is_named_and_the_others_are_there_one_of_them_without_sensors(tmp_path: Path) -> None:
    """One site refuses its series: its days are red, the others' are billed, and the exit status says so."""
    world = World(seed=3, sites=3, meters=2)
    broken, good, sensorless = (site.site_id for site in world.sites)
    assert world.site(sensorless).sensors == ()

    def refuse(request: Request) -> Fault | None:
        is_series = request.endpoint in {"meter_data", "site_data", "meter_data_raw"}
        return Fault("status", status=403) if is_series and request.site_id == broken else None

    with SimulatorServer(world, requests_per_second=None, interceptor=refuse) as server:
        account = account_for(server, tmp_path)
        finished = account.climkit(*RANGE)
    assert finished.status == 1
    named = [line for line in finished.err.splitlines() if line.startswith("failed:")]
    assert len(named) == 5  # 2 meters' intervals, 2 meters' raw data, 1 type
    assert all(broken in line and "403" in line for line in named)
    present = dict(account.rows("select site_id, sum(intervals_present) from billing_monthly group by all"))
    assert present == {broken: 0, good: 2 * 2 * 96, sensorless: 2 * 2 * 96}
    sensors = dict(account.rows("select site_id, count(*) from sensors group by all"))
    assert sensors == {broken: 2, good: 2}
    states = json.loads(account.climkit("status", "--json").out)["datasets"]
    assert {entry["site_id"] for entry in states if entry["failed"]} == {broken}


def test_an_interrupted_backfill_ends_with_130_and_the_next_one_goes_on(
    account: Account, server: SimulatorServer
) -> None:
    """Ctrl-C ended as status 1 with Dagster's traceback, as if something had failed."""
    server.forget_calls()
    command = [climkit_command(), "backfill", "2026-09-01", "2026-10-31", "--no-models"]
    environment = account.environment | {"CLIMKIT_REQUESTS_PER_SECOND": "4"}
    with subprocess.Popen(
        command, env=environment, cwd=account.folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        for _ in range(10 * HANGS_AFTER_SECONDS):
            if sum(call.endpoint == "meter_data" for call in server.calls) >= 2:
                break
            time.sleep(0.1)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=HANGS_AFTER_SECONDS)
    assert process.returncode == 130, err
    assert "Traceback" not in err
    assert "interrupted" in err.splitlines()[-1]
    received = [call for call in server.calls if call.endpoint == "meter_data" and call.status == 200]
    server.forget_calls()
    assert account.climkit("backfill", "2026-09-01", "2026-10-31", "--no-models").status == 0
    asked = {(call.subject, call.t_s) for call in server.calls if call.endpoint == "meter_data"}
    # At most the call that was under way is made again.
    assert len(asked & {(call.subject, call.t_s) for call in received}) <= 1
    assert len(asked) + len(received) >= 6


def test_an_address_that_does_not_answer_is_given_up_after_a_minute(nobody_there: subprocess.Popen[str]) -> None:
    out, err = nobody_there.communicate(timeout=HANGS_AFTER_SECONDS)
    assert_refused(Finished(nobody_there.returncode, out, err), 1, "127.0.0.1:9", "does not answer")
