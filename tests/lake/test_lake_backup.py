"""A backup is whole or not there; a restoration brings back every byte."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import threading
from contextlib import closing
from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from climkit_pipeline.errors import ConfigurationError, LakeError
from climkit_pipeline.files import file_lock
from climkit_pipeline.lake.account import claim
from climkit_pipeline.lake.backup import SUMS, back_up, restore
from climkit_pipeline.lake.layout import Layout

DAY = date(2026, 10, 1)


def at(hour: int) -> datetime:
    return datetime(2026, 11, 1, hour, tzinfo=UTC)


@pytest.fixture
def full(layout: Layout) -> Layout:
    claim(layout, "somebody")
    for path, text in (
        (layout.data_file("meters", DAY), "rows"),
        (layout.coverage_file("meters", DAY), "coverage"),
        (layout.config / "meters.csv", "yours"),
        (layout.closed / "2026-09" / "a.parquet", "frozen"),
        (layout.dagster_home / "dagster.yaml", "settings"),
        (layout.warehouse, "can be built"),
        (layout.build_file, "can be built"),
    ):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    with closing(sqlite3.connect(layout.dagster_home / "runs.db")) as storage, storage:
        storage.execute("create table runs as select 1 as run")
    return layout


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_what_comes_back_is_what_was_there_and_nothing_that_can_be_built(full, tmp_path):
    report = back_up(full, tmp_path / "backups", now=at(1))
    restored = Layout(tmp_path / "restored")
    restore(restored, report.folder)
    before, after = contents(full.root), contents(restored.root)
    assert {name for name in before if name not in after} == {
        name for name in before if name.startswith("build/") or name == "warehouse.duckdb"
    }
    assert {name: before[name] for name in after if not name.endswith(".db")} == {
        name: after[name] for name in after if not name.endswith(".db")
    }
    with closing(sqlite3.connect(restored.dagster_home / "runs.db")) as storage:
        assert storage.execute("select run from runs").fetchall() == [(1,)]


def test_what_has_not_changed_is_a_link_to_the_backup_before(full, tmp_path):
    first = back_up(full, tmp_path / "backups", now=at(1)).folder
    full.data_file("meters", DAY).write_text("other rows")
    second = back_up(full, tmp_path / "backups", now=at(2)).folder
    name = full.coverage_file("meters", DAY).relative_to(full.root)
    assert (first / name).samefile(second / name)
    assert (first / full.data_file("meters", DAY).relative_to(full.root)).read_text() == "rows"
    assert (second / full.data_file("meters", DAY).relative_to(full.root)).read_text() == "other rows"
    for folder in (first, second):
        subprocess.run(["sha256sum", "--check", "--quiet", SUMS], cwd=folder, check=True)


def test_only_the_newest_are_kept(full, tmp_path):
    for hour in (1, 2, 3):
        back_up(full, tmp_path / "backups", keep=2, now=at(hour))
    assert sorted(path.name for path in (tmp_path / "backups").glob("2*")) == [
        "2026-11-01T02-00-00Z", "2026-11-01T03-00-00Z",
    ]  # fmt: skip


def test_a_backup_waits_for_a_commit(full, tmp_path):
    """Rows of before and coverage of after a commit would say complete of a day that is not."""
    done = threading.Event()

    def run() -> None:
        back_up(full, tmp_path / "backups", now=at(1))
        done.set()

    with file_lock(full.commit_lock("meters")):
        thread = threading.Thread(target=run)
        thread.start()
        # The datasets come in order: once the one before is there, it waits, or is about to.
        while not (tmp_path / "backups" / ".partial" / "lake" / "meter_intervals").exists():
            assert thread.is_alive()
        full.data_file("meters", DAY).write_text("new rows")
        full.coverage_file("meters", DAY).write_text("new coverage")
        assert not done.is_set()
    thread.join()
    folder = tmp_path / "backups" / "2026-11-01T01-00-00Z"
    assert (folder / full.data_file("meters", DAY).relative_to(full.root)).read_text() == "new rows"


def test_a_backup_that_fails_leaves_nothing(full, tmp_path, monkeypatch):
    def refuse(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "sync", refuse)
    with pytest.raises(LakeError, match="No space left"):
        back_up(full, tmp_path / "backups", now=at(1))
    assert [path.name for path in (tmp_path / "backups").iterdir()] == [".lock"]


def test_a_damaged_backup_is_found(full, tmp_path):
    report = back_up(full, tmp_path / "backups", now=at(1))
    (report.folder / "config" / "meters.csv").write_text("other")
    restored = Layout(tmp_path / "restored")
    with pytest.raises(LakeError, match=r"meters\.csv is damaged"):
        restore(restored, report.folder)
    assert not restored.account.exists()


def test_nothing_is_restored_onto_data(full, tmp_path):
    report = back_up(full, tmp_path / "backups", now=at(1))
    with pytest.raises(ConfigurationError, match="holds data already"):
        restore(full, report.folder)


@pytest.mark.parametrize("text", [None, "", "0  ../../outside\n0  account.json\n"])
def test_a_folder_that_is_no_backup_is_refused(layout, tmp_path, text):
    folder = tmp_path / "folder"
    folder.mkdir()
    if text is not None:
        (folder / SUMS).write_text(text)
    with pytest.raises(ConfigurationError, match="is no backup"):
        restore(layout, folder)


def test_there_is_no_backup_of_nothing_or_into_itself(full, tmp_path):
    with pytest.raises(ConfigurationError, match="nothing to back up"):
        back_up(Layout(tmp_path / "empty"), tmp_path / "backups")
    with pytest.raises(ConfigurationError, match="lies in the data directory"):
        back_up(full, full.root / "backups")
