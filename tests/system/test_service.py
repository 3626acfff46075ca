"""``climkit serve`` as its operator meets it: crashes, stops, power cuts; Dagster on SQLite and on PostgreSQL."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path

import pytest
from accounts import HANGS_AFTER_SECONDS, PASSWORD, Account, account_for, run_command
from service_parts import Postgres, Service, descendants, is_running, postgres_server, wait_until

from climkit_pipeline.simulator import Fault, Request, SimulatorServer, World

pytestmark = pytest.mark.filterwarnings("default")

LAST = date.today() - timedelta(days=1)  # noqa: DTZ011 - partitions are days of the machine's calendar, near enough
FIRST = LAST - timedelta(days=1)


@dataclass
class Gate:
    """What stands before the API: while it is shut, a run is under way for as long as a test wants."""

    is_open: threading.Event = field(default_factory=threading.Event)

    def pass_through(self, _: Request) -> Fault | None:
        self.is_open.wait(HANGS_AFTER_SECONDS)
        return None

    @contextmanager
    def shut(self) -> Iterator[None]:
        self.is_open.clear()
        try:
            yield
        finally:
            self.is_open.set()


@pytest.fixture(scope="module")
def gate() -> Gate:
    gate = Gate()
    gate.is_open.set()
    return gate


@pytest.fixture(scope="module")
def account(gate: Gate, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Account]:
    world = World(seed=7, sites=1, meters=4)
    with SimulatorServer(world, requests_per_second=500, interceptor=gate.pass_through) as server:
        yield account_for(server, tmp_path_factory.mktemp("service"))


@pytest.fixture(scope="module")
def postgres() -> Iterator[Postgres]:
    with postgres_server() as server:
        yield server


@pytest.fixture(scope="module")
def service(account: Account) -> Iterator[Service]:
    """On SQLite, the default."""
    service = Service(account.environment, account.folder)
    service.start()
    yield service
    if service.process is not None and service.process.poll() is None:
        service.stop()


def test_each_process_that_dies_is_started_again_alone(service: Service) -> None:
    for part in ("webserver", "daemon", "code"):
        before = service.children()
        os.kill(before[part], signal.SIGKILL)
        wait_until(lambda part=part, before=before: service.children()[part] != before[part], f"another {part}")
        after = service.children()
        assert {name: pid for name, pid in after.items() if name != part} == {
            name: pid for name, pid in before.items() if name != part
        }
        wait_until(service.is_up, f"the UI after {part} was killed")
        assert f"{part} ended with status -9; it is started again in" in service.log


def test_every_daemon_is_healthy(service: Service) -> None:
    def statuses() -> list[dict[str, object]] | None:
        found = service.ask("{instance{daemonHealth{allDaemonStatuses{daemonType required healthy}}}}")
        required = [each for each in found["instance"]["daemonHealth"]["allDaemonStatuses"] if each["required"]]
        return required if all(each["healthy"] for each in required) else None

    assert "MONITORING" in {each["daemonType"] for each in wait_until(statuses, "healthy daemons")}


def test_only_the_code_location_knows_the_account(service: Service) -> None:
    for part, pid in service.children().items():
        environment = Path(f"/proc/{pid}/environ").read_bytes()
        assert (f"CLIMKIT_PASSWORD={PASSWORD}".encode() in environment) == (part == "code"), part


def test_a_second_daemon_and_a_taken_port_are_refused_before_anything_starts(service: Service) -> None:
    """Two daemons would start every schedule's run twice."""
    daemon = run_command(service.command("--only", "daemon"), service.environment, service.folder)
    assert (daemon.status, "another daemon runs on" in daemon.err) == (2, True), daemon.err
    webserver = run_command(service.command("--only", "webserver"), service.environment, service.folder)
    assert (webserver.status, f"port {service.port} of 127.0.0.1 cannot be used" in webserver.err) == (2, True)


def test_a_stop_ends_every_process_with_status_0(service: Service) -> None:
    assert service.process is not None
    tree = [service.process.pid, *descendants(service.process.pid)]
    assert len(tree) >= 4
    assert service.stop() == 0
    wait_until(lambda: not any(is_running(pid) for pid in tree), "the end of every process")


def test_one_process_alone_tells_its_manager_that_it_died(service: Service) -> None:
    command = service.command("--only", "code")
    with subprocess.Popen(
        command, env=service.environment, cwd=service.folder, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stderr is not None
        line = next(line for line in process.stderr if "code started" in line)
        os.kill(int(line.split("pid ")[1].split(")")[0]), signal.SIGKILL)
        process.stderr.read()
        assert process.wait(timeout=600) == 1


# --- on PostgreSQL


@pytest.fixture(scope="module")
def on_postgres(account: Account, postgres: Postgres) -> Iterator[Service]:
    """A data directory of its own, whose Dagster keeps everything in PostgreSQL; one run at a time."""
    environment = account.environment | postgres.environment
    environment |= {name: f"{environment[name]}-postgres" for name in ("CLIMKIT_DATA_DIR", "CLIMKIT_STATE_DIR")}
    # Once without a daemon: the operator edits what was written, for a place less and quicker looks.
    tidy = run_command([Service(environment, account.folder).command()[0], "tidy"], environment, account.folder)
    assert tidy.status == 0, tidy.err
    settings = Path(environment["CLIMKIT_DATA_DIR"]) / "dagster" / "dagster.yaml"
    text = settings.read_text().replace("max_concurrent_runs: 4", "max_concurrent_runs: 1")
    settings.write_text(text.replace("poll_interval_seconds: 60", "poll_interval_seconds: 5"))
    service = Service(environment, account.folder)
    service.start()
    yield service
    if service.process is not None and service.process.poll() is None:
        service.stop()


def test_an_ingestion_through_the_daemon_is_followed_by_the_models(on_postgres: Service) -> None:
    run_id = on_postgres.launch_ingestion(FIRST.isoformat(), LAST.isoformat())
    assert on_postgres.wait_for(run_id, "SUCCESS", "FAILURE") == "SUCCESS"
    refresh = wait_until(
        lambda: next((run for run, (job, _) in on_postgres.runs().items() if job == "refresh_models"), None),
        "the sensor's run",
    )
    assert on_postgres.wait_for(refresh, "SUCCESS", "FAILURE") == "SUCCESS"
    assert (Path(on_postgres.environment["CLIMKIT_DATA_DIR"]) / "warehouse.duckdb").exists()


def test_runs_events_and_ticks_lie_in_postgres_and_no_secret_does(on_postgres: Service, postgres: Postgres) -> None:
    assert int(postgres.ask("select count(*) from runs where status = 'SUCCESS'")) >= 2
    assert int(postgres.ask("select count(*) from event_logs")) > 50
    assert int(postgres.ask("select count(*) from job_ticks")) > 0
    assert int(postgres.ask("select count(distinct daemon_type) from daemon_heartbeats")) >= 5
    home = Path(on_postgres.environment["CLIMKIT_DATA_DIR"]) / "dagster"
    assert list(home.rglob("*.db")) == []
    dump = postgres.run("pg_dump", "--data-only")
    assert PASSWORD.encode() not in dump
    assert on_postgres.environment["DAGSTER_POSTGRES_PASSWORD"].encode() not in dump
    assert on_postgres.environment["DAGSTER_POSTGRES_PASSWORD"] not in (home / "dagster.yaml").read_text()


def test_an_edited_instance_file_is_kept_and_the_log_says_so(on_postgres: Service) -> None:
    assert on_postgres.log.count("was edited and is kept") == 1
    home = Path(on_postgres.environment["CLIMKIT_DATA_DIR"]) / "dagster"
    assert "max_concurrent_runs: 1" in (home / "dagster.yaml").read_text()
    assert "max_concurrent_runs: 4" in (home / "dagster.yaml.new").read_text()


def test_a_run_that_a_power_cut_ended_fails_and_leaves_its_place(on_postgres: Service, gate: Gate) -> None:
    """Dagster's own launcher leaves it started for ever, and with one place nothing would ever run again."""
    with gate.shut():
        cut = on_postgres.launch_ingestion(FIRST.isoformat(), LAST.isoformat(), refetch=True)
        on_postgres.wait_for(cut, "STARTED")
        on_postgres.end_like_a_power_cut()
    on_postgres.start()
    assert on_postgres.runs()[cut][1] in {"STARTED", "FAILURE"}
    waiting = on_postgres.launch_ingestion(FIRST.isoformat(), LAST.isoformat(), refetch=True)
    assert on_postgres.wait_for(waiting, "SUCCESS", "FAILURE") == "SUCCESS"
    assert on_postgres.runs()[cut][1] == "FAILURE"
    events = on_postgres.ask(
        "query($run: ID!){logsForRun(runId: $run){... on EventConnection{events{... on MessageEvent{message}}}}}",
        run=cut,
    )
    messages = [event.get("message", "") for event in events["logsForRun"]["events"]]
    assert any("its process is gone" in message for message in messages), messages


def test_dagsters_storage_comes_back_from_a_dump(on_postgres: Service, postgres: Postgres) -> None:
    """As docs/operations.md says to back it up and to restore it."""
    on_postgres.stop()
    dump = postgres.run("pg_dump", "--format=custom")
    postgres.run("createdb", "restored", database="postgres")
    postgres.run("pg_restore", "--no-owner", "--exit-on-error", "--dbname=restored", stdin=dump)
    for table in ("runs", "event_logs", "job_ticks", "instigators"):
        count = f"select count(*) from {table}"
        assert postgres.ask(count, "restored") == postgres.ask(count)
    environment = on_postgres.environment | {"DAGSTER_POSTGRES_DB": "restored"}
    done = run_command([on_postgres.command()[0], "tidy", "--keep-days", "0"], environment, on_postgres.folder)
    assert (done.status, "old runs deleted" in done.err) == (0, True), done.err
    assert int(postgres.ask("select count(*) from runs", "restored")) < int(postgres.ask("select count(*) from runs"))
