"""Whole commands, as people run them: a process of its own, a real server, a real data directory."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import duckdb

from climkit_pipeline.simulator import SimulatorServer

REPOSITORY = Path(__file__).resolve().parents[2]
USERNAME, PASSWORD = "demo", "demo-simulator"
HANGS_AFTER_SECONDS = 1800
"""Guards against what never ends; no machine is so slow."""


@dataclass(frozen=True)
class Finished:
    status: int
    out: str
    err: str


def climkit_command() -> str:
    """The console script of the environment that runs the tests; its folder need not be on PATH."""
    return str(Path(sys.executable).with_name("climkit"))


def run_command(command: list[str], environment: dict[str, str], folder: Path) -> Finished:
    done = subprocess.run(
        command, env=environment, cwd=folder, capture_output=True, text=True, timeout=HANGS_AFTER_SECONDS, check=False
    )
    return Finished(done.returncode, done.stdout, done.stderr)


def bare_environment(home: Path) -> dict[str, str]:
    """What a fresh login has: nothing of ours, and no folder of ours on PATH."""
    kept = {name: os.environ[name] for name in ("LANG", "TMPDIR") if name in os.environ}
    # The port is closed: a command that calls an API it was not given fails at once instead of leaving the machine.
    return {**kept, "PATH": "/usr/bin:/bin", "HOME": str(home), "CLIMKIT_BASE_URL": "http://127.0.0.1:9/api/v1"}


@dataclass(frozen=True)
class Account:
    """A data directory and a simulated account, and the commands on them."""

    environment: dict[str, str]
    folder: Path
    data_dir: Path

    def climkit(self, *arguments: str, **settings: str) -> Finished:
        environment = self.environment | {f"CLIMKIT_{name}": value for name, value in settings.items()}
        return run_command([climkit_command(), *arguments], environment, self.folder)

    def rows(self, sql: str) -> list[tuple[object, ...]]:
        with duckdb.connect(str(self.data_dir / "warehouse.duckdb"), read_only=True) as connection:
            return connection.execute(sql).fetchall()


def account_for(server: SimulatorServer, folder: Path) -> Account:
    environment = bare_environment(folder) | {
        "CLIMKIT_BASE_URL": server.base_url,
        "CLIMKIT_USERNAME": USERNAME,
        "CLIMKIT_PASSWORD": PASSWORD,
        "CLIMKIT_REQUESTS_PER_SECOND": "500",
        "CLIMKIT_STATE_DIR": str(folder / "state"),
        "CLIMKIT_DATA_DIR": str(folder / "data"),
    }
    return Account(environment, folder, folder / "data")


RANGE = ("backfill", "2026-10-01", "2026-10-02")


def assert_refused(finished: Finished, status: int, *words: str) -> None:
    assert finished.status == status, finished.err
    assert finished.out == ""
    assert finished.err.count("\n") == 1, finished.err
    for word in words:
        assert word in finished.err
    assert "demo-simulator" not in finished.err
