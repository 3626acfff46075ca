"""A run is alive as long as a process holds its lock."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.launcher import WorkerStatus

from climkit_pipeline.defs import run_locks
from climkit_pipeline.defs.run_locks import MonitoredRunLauncher, held_run_lock, is_alive, run_lock


@pytest.fixture
def instance(tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    (tmp_path / "dagster.yaml").write_text(
        "telemetry: {enabled: false}\n"
        "run_launcher: {module: climkit_pipeline.defs.run_locks, class: MonitoredRunLauncher}\n"
    )
    with dg.DagsterInstance.from_config(str(tmp_path)) as instance:
        yield instance


def test_a_run_lives_while_its_lock_is_held(instance):
    assert not is_alive(instance, "a")
    with held_run_lock(instance, "a"):
        assert is_alive(instance, "a")
    assert not is_alive(instance, "a")


def test_asking_leaves_nothing_behind_and_takes_nobodys_lock_away(instance):
    with held_run_lock(instance, "a"):
        assert is_alive(instance, "a")
        with held_run_lock(instance, "b"):  # removes what ended runs left
            assert is_alive(instance, "a")
    is_alive(instance, "c")
    assert list(run_lock(instance, "a").parent.iterdir()) == []


def test_a_killed_process_frees_its_lock(instance):
    code = (
        "import sys, time\n"
        "from pathlib import Path\n"
        "from climkit_pipeline.files import file_lock\n"
        "with file_lock(Path(sys.argv[1])):\n"
        "    print('held', flush=True)\n"
        "    time.sleep(600)\n"
    )
    path = str(run_lock(instance, "a"))
    with subprocess.Popen([sys.executable, "-c", code, path], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        assert is_alive(instance, "a")
        process.kill()
        process.wait()
    assert not is_alive(instance, "a")


def test_the_launcher_calls_a_run_dead_only_some_time_after_it_began(instance, monkeypatch):
    """Between the event that a run has started and its lock lies a moment."""
    launcher = instance.run_launcher
    assert isinstance(launcher, MonitoredRunLauncher)
    assert launcher.supports_check_run_worker_health

    @dg.job
    def empty() -> None: ...

    run = instance.create_run_for_job(empty, status=dg.DagsterRunStatus.STARTING)
    assert launcher.check_run_worker_health(run).status == WorkerStatus.RUNNING
    instance.handle_new_event(
        dg.EventLogEntry(
            error_info=None, level=20, user_message="", run_id=run.run_id, timestamp=time.time(), job_name="empty",
            dagster_event=dg.DagsterEvent(dg.DagsterEventType.RUN_START.value, "empty"),
        )
    )  # fmt: skip
    assert launcher.check_run_worker_health(run).status == WorkerStatus.RUNNING
    monkeypatch.setattr(run_locks, "BEGINS_WITHIN_SECONDS", 0.0)
    assert launcher.check_run_worker_health(run).status == WorkerStatus.FAILED
    with held_run_lock(instance, run.run_id):
        assert launcher.check_run_worker_health(run).status == WorkerStatus.RUNNING
