"""Dagster's events are in the files that Dagster itself would write, at once, and for everybody who looks."""

from __future__ import annotations

import os
import queue
import subprocess
import sys
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.storage.event_log import SqliteEventLogStorage

from climkit_pipeline.defs.dagster_home import follow_release
from climkit_pipeline.defs.event_storage import FILES_KEPT_OPEN, EventLog
from climkit_pipeline.installation import ROOT_DIR

WITHIN_SECONDS = 600
"""Guards against what never comes."""

REPORTS_AND_DIES = """
import os, sys, dagster as dg
instance = dg.DagsterInstance.from_config(sys.argv[1])
for number in range(5):
    instance.report_runless_asset_event(dg.AssetMaterialization("days", partition=str(number)))
os._exit(9)
"""


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An instance's directory with the settings that come with a release."""
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    follow_release(tmp_path, ROOT_DIR)
    return tmp_path


def partitions(instance: dg.DagsterInstance) -> set[str]:
    found = instance.get_materialized_partitions(dg.AssetKey("days"))
    return set(found)


def test_what_a_killed_process_reported_is_there(home, monkeypatch):
    """It had its file open, and no time to close it; the instance alone says where it lies."""
    monkeypatch.delenv("DAGSTER_HOME")
    done = subprocess.run([sys.executable, "-c", REPORTS_AND_DIES, str(home)], env=os.environ, check=False)
    assert done.returncode == 9
    with dg.DagsterInstance.from_config(str(home)) as instance:
        assert isinstance(instance.event_log_storage, EventLog)
        assert partitions(instance) == {"0", "1", "2", "3", "4"}


def test_dagsters_own_storage_reads_and_goes_on_with_the_same_files(home):
    """Both ways: a directory of an earlier release, and an operator who goes back to it."""
    settings = home / "dagster.yaml"
    ours = settings.read_bytes()
    for number, text in enumerate((b"telemetry: {enabled: false}\n", ours, b"telemetry: {enabled: false}\n", ours)):
        settings.write_bytes(text)
        with dg.DagsterInstance.from_config(str(home)) as instance:
            assert isinstance(instance.event_log_storage, EventLog) == (text is ours)
            assert isinstance(instance.event_log_storage, SqliteEventLogStorage)
            instance.report_runless_asset_event(dg.AssetMaterialization("days", partition=str(number)))
            assert partitions(instance) == {str(each) for each in range(number + 1)}


@dg.op
def talk() -> None:
    """Events are what matters here."""


@dg.job
def talking() -> None:
    talk()


def test_a_page_sees_a_run_go_on_while_its_file_is_held_open(home):
    with dg.DagsterInstance.from_config(str(home)) as writer, dg.DagsterInstance.from_config(str(home)) as page:
        run = talking.execute_in_process(instance=writer)
        cursor = page.get_records_for_run(run.run_id).cursor
        seen: queue.Queue[str] = queue.Queue()
        page.watch_event_logs(run.run_id, cursor, lambda entry, _: seen.put(entry.message))
        writer.report_engine_event("one more", writer.get_run_by_id(run.run_id))
        assert seen.get(timeout=WITHIN_SECONDS) == "one more"


def test_files_of_old_runs_are_closed(home):
    with dg.DagsterInstance.from_config(str(home)) as instance:
        for _ in range(FILES_KEPT_OPEN + 3):
            talking.execute_in_process(instance=instance)
        held = {os.path.realpath(link) for link in Path("/proc/self/fd").iterdir()}
        held = {path for path in held if path.startswith(f"{home}/history/runs/") and path.endswith(".db")}
        assert 0 < len(held) <= FILES_KEPT_OPEN


def test_wiping_leaves_nothing_and_what_comes_after_is_kept(home):
    with dg.DagsterInstance.from_config(str(home)) as instance:
        run = talking.execute_in_process(instance=instance)
        instance.event_log_storage.wipe()
        assert instance.get_records_for_run(run.run_id).records == []
        again = talking.execute_in_process(instance=instance)
        with dg.DagsterInstance.from_config(str(home)) as other:
            assert other.get_records_for_run(again.run_id).records
