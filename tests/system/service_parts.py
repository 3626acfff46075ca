"""A real PostgreSQL, a real service, and the questions that Dagster's UI asks it."""

from __future__ import annotations

import json
import os
import pwd
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from accounts import HANGS_AFTER_SECONDS, climkit_command

SERVES_WITHIN_SECONDS = 900
"""Guards against what never comes up; no machine is so slow."""
POSTGRES_PASSWORD = "of the test alone"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def wait_until(condition: Callable[[], Any], what: str, within: float = SERVES_WITHIN_SECONDS) -> Any:
    """What the condition gives once it is true; an OSError counts as not yet."""
    end = time.monotonic() + within
    while time.monotonic() < end:
        try:
            if result := condition():
                return result
        except OSError:
            pass
        time.sleep(0.5)
    raise AssertionError(f"never came: {what}")


# --- PostgreSQL


@dataclass(frozen=True)
class Postgres:
    """A server of its own, on loopback, as Debian packages it."""

    port: int
    programs: Path

    @property
    def environment(self) -> dict[str, str]:
        """What the instance's settings read."""
        return {
            "DAGSTER_POSTGRES_HOST": "127.0.0.1",
            "DAGSTER_POSTGRES_PORT": str(self.port),
            "DAGSTER_POSTGRES_DB": "dagster",
            "DAGSTER_POSTGRES_USER": "dagster",
            "DAGSTER_POSTGRES_PASSWORD": POSTGRES_PASSWORD,
        }

    def run(self, program: str, *arguments: str, database: str = "dagster", stdin: bytes | None = None) -> bytes:
        """One of PostgreSQL's own programs, as an operator calls it."""
        environment = {
            "PATH": "/usr/bin:/bin", "PGHOST": "127.0.0.1", "PGPORT": str(self.port), "PGUSER": "dagster",
            "PGPASSWORD": POSTGRES_PASSWORD, "PGDATABASE": database,
        }  # fmt: skip
        command = [str(self.programs / program), *arguments]
        return subprocess.run(command, env=environment, input=stdin, capture_output=True, check=True).stdout

    def ask(self, sql: str, database: str = "dagster") -> str:
        return self.run("psql", "--no-psqlrc", "-At", "-c", sql, database=database).decode().strip()


@contextmanager
def postgres_server() -> Iterator[Postgres]:
    programs = max(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: float(path.parent.name))
    # It refuses to run as root, and its user has to reach its folder: not below pytest's, which is the caller's alone.
    owner = "postgres" if os.getuid() == 0 else pwd.getpwuid(os.getuid()).pw_name
    folder = Path(tempfile.mkdtemp(prefix="climkit-postgres-"))
    try:
        (folder / "password").write_text(POSTGRES_PASSWORD)
        if os.getuid() == 0:
            for path in (folder, folder / "password"):
                shutil.chown(path, owner)
        port = free_port()
        as_owner: dict[str, Any] = {"user": owner, "group": pwd.getpwnam(owner).pw_gid} if os.getuid() == 0 else {}
        environment = {"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8"}
        subprocess.run(
            [programs / "initdb", "--auth=scram-sha-256", "--username=dagster", f"--pwfile={folder / 'password'}",
             "--encoding=UTF8", "--no-sync", "-D", folder / "data"],
            env=environment, cwd=folder, stdout=subprocess.DEVNULL, check=True, **as_owner,
        )  # fmt: skip
        command = [programs / "postgres", "-D", folder / "data", "-h", "127.0.0.1", "-p", str(port), "-k", ""]
        with (
            (folder / "log").open("wb") as log,
            subprocess.Popen(command, env=environment, cwd=folder, stdout=log, stderr=log, **as_owner) as process,
        ):
            try:
                server = Postgres(port, programs)
                wait_until(lambda: _answers(server, process, folder / "log"), "PostgreSQL")
                server.run("createdb", "dagster", database="postgres")
                yield server
            finally:
                process.send_signal(signal.SIGINT)  # its fast shutdown
                process.wait(timeout=HANGS_AFTER_SECONDS)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _answers(server: Postgres, process: subprocess.Popen[bytes], log: Path) -> bool:
    assert process.poll() is None, log.read_text()
    try:
        return server.ask("select 1", "postgres") == "1"
    except subprocess.CalledProcessError:
        return False


# --- the service


@dataclass
class Service:
    """``climkit serve`` on a data directory."""

    environment: dict[str, str]
    folder: Path
    port: int = field(default_factory=free_port)
    code_port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None

    @property
    def log(self) -> str:
        return (self.folder / "serve.log").read_text()

    def command(self, *more: str) -> list[str]:
        return [climkit_command(), "serve", "--port", str(self.port), "--code-port", str(self.code_port), *more]

    def start(self) -> None:
        with (self.folder / "serve.log").open("ab") as log:
            self.process = subprocess.Popen(
                self.command(), env=self.environment, cwd=self.folder, stdout=log, stderr=log, start_new_session=True
            )
        wait_until(self.is_up, "the UI with the code location")

    def is_up(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, self.log
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/server_info", timeout=5):
            entries = self.ask("{workspaceOrError{... on Workspace{locationEntries{locationOrLoadError{__typename}}}}}")
        return [entry["locationOrLoadError"] for entry in entries["workspaceOrError"]["locationEntries"]] == [
            {"__typename": "RepositoryLocation"}
        ]

    def stop(self) -> int:
        """Ask it to end, as a service manager does; the exit status."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=HANGS_AFTER_SECONDS)

    def end_like_a_power_cut(self) -> list[int]:
        """Nothing gets a chance to tell anybody; what was killed."""
        assert self.process is not None
        tree = [self.process.pid, *descendants(self.process.pid)]
        for number in (signal.SIGSTOP, signal.SIGKILL):  # stopped first: a parent must not see its child die
            for pid in tree:
                os.kill(pid, number)
        self.process.wait(timeout=HANGS_AFTER_SECONDS)
        wait_until(lambda: not any(is_running(pid) for pid in tree), "the end of what was killed")
        return tree

    def children(self) -> dict[str, int]:
        """The newest process of each part, by the log."""
        return {name: int(pid) for name, pid in re.findall(r"(\w+) started \(pid (\d+)\)", self.log)}

    def ask(self, query: str, **variables: Any) -> dict[str, Any]:
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}/graphql",
            json.dumps({"query": query, "variables": variables}).encode(),
            {"content-type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=120) as answer:  # noqa: S310 - loopback
            content = json.load(answer)
        assert not content.get("errors"), content
        found: dict[str, Any] = content["data"]
        return found

    def launch_ingestion(self, first: str, last: str, *, refetch: bool = False) -> str:
        """What a click in the UI does; the run's id."""
        answer = self.ask(
            """
            mutation($params: ExecutionParams!) {
              launchRun(executionParams: $params) {
                __typename ... on LaunchRunSuccess { run { runId } } ... on PythonError { message }
              }
            }
            """,
            params={
                "selector": {
                    "repositoryLocationName": "climkit", "repositoryName": "__repository__", "jobName": "ingest_lake"
                },
                "runConfigData": {"ops": {"ingest": {"config": {"refetch": refetch}}}},
                "mode": "default",
                "executionMetadata": {
                    "tags": [
                        {"key": "dagster/asset_partition_range_start", "value": first},
                        {"key": "dagster/asset_partition_range_end", "value": last},
                    ]
                },
            },
        )  # fmt: skip
        assert answer["launchRun"]["__typename"] == "LaunchRunSuccess", answer
        run_id: str = answer["launchRun"]["run"]["runId"]
        return run_id

    def runs(self) -> dict[str, tuple[str, str]]:
        """Job and status by run, newest first."""
        found = self.ask("{runsOrError{... on Runs{results{runId jobName status}}}}")["runsOrError"]["results"]
        return {run["runId"]: (run["jobName"], run["status"]) for run in found}

    def wait_for(self, run_id: str, *statuses: str) -> str:
        """The run's status, once it is one of those."""

        def status() -> str | None:
            now = self.runs()[run_id][1]
            return now if now in statuses else None

        found: str = wait_until(status, f"{statuses} of run {run_id}")
        return found


def descendants(pid: int) -> list[int]:
    """Every process below one, whatever group it is in."""
    parents: dict[int, list[int]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = int(stat.read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue
        parents.setdefault(parent, []).append(int(stat.parent.name))
    found, rest = [], [pid]
    while rest:
        children = parents.get(rest.pop(), [])
        found += children
        rest += children
    return found


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in {"Z", "X"}
    except OSError:
        return False
