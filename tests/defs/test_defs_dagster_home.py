"""The instance's settings follow new releases until somebody edits them."""

from __future__ import annotations

import hashlib
import logging
from pathlib import Path

import pytest

from climkit_pipeline.defs.dagster_home import (
    BEFORE_NOTES,
    COMMON,
    POSTGRES,
    POSTGRES_VARIABLE,
    SQLITE,
    follow_release,
)


@pytest.fixture
def release(tmp_path: Path) -> Path:
    """The files of a release, which a test may follow by another."""
    folder = tmp_path / "release"
    (folder / "deploy").mkdir(parents=True)
    (folder / COMMON).write_text("nux: {enabled: false}\n")
    (folder / SQLITE).write_text("event_log_storage: {}\n")
    (folder / POSTGRES).write_text("storage: {postgres: {}}\n")
    return folder


def written_by(release: Path, storage: str = SQLITE) -> str:
    return (release / COMMON).read_text() + (release / storage).read_text()


@pytest.fixture
def home(tmp_path: Path) -> Path:
    folder = tmp_path / "home"
    folder.mkdir()
    return folder


def test_an_untouched_file_follows_the_next_release(home, release, caplog):
    """It was copied once and never again: a data directory kept the first release's settings for ever."""
    follow_release(home, release)
    assert caplog.messages == []
    (release / COMMON).write_text("telemetry: {enabled: false}\n")
    follow_release(home, release)
    assert (home / "dagster.yaml").read_text() == "telemetry: {enabled: false}\nevent_log_storage: {}\n"
    assert [record.levelno for record in caplog.records] == [logging.WARNING]
    assert "follows this release" in caplog.text


def test_an_edited_file_is_kept_and_the_log_says_so_once(home, release, caplog):
    follow_release(home, release)
    (home / "dagster.yaml").write_text("mine: true\n")
    for _ in range(2):
        follow_release(home, release)
    assert (home / "dagster.yaml").read_text() == "mine: true\n"
    assert (home / "dagster.yaml.new").read_text() == written_by(release)
    assert len(caplog.messages) == 1
    assert "was edited and is kept" in caplog.text


def test_a_later_release_is_told_of_again(home, release, caplog):
    follow_release(home, release)
    (home / "dagster.yaml").write_text("mine: true\n")
    follow_release(home, release)
    (release / COMMON).write_text("telemetry: {enabled: false}\n")
    follow_release(home, release)
    assert len(caplog.messages) == 2
    assert (home / "dagster.yaml.new").read_text() == "telemetry: {enabled: false}\nevent_log_storage: {}\n"


def test_an_operator_who_takes_over_the_new_settings_follows_releases_again(home, release):
    follow_release(home, release)
    (home / "dagster.yaml").write_text("mine: true\n")
    follow_release(home, release)
    (home / "dagster.yaml.new").rename(home / "dagster.yaml")
    follow_release(home, release)
    (release / COMMON).write_text("telemetry: {enabled: false}\n")
    follow_release(home, release)
    assert (home / "dagster.yaml").read_text() == "telemetry: {enabled: false}\nevent_log_storage: {}\n"


def test_a_file_of_a_release_that_left_no_note_is_not_an_edited_one(home, release, monkeypatch):
    old = b"telemetry:\n  enabled: false\n"
    (home / "dagster.yaml").write_bytes(old)
    monkeypatch.setattr(
        "climkit_pipeline.defs.dagster_home.BEFORE_NOTES", BEFORE_NOTES | {hashlib.sha256(old).hexdigest()}
    )
    follow_release(home, release)
    assert (home / "dagster.yaml").read_text() == written_by(release)


def test_the_storage_is_chosen_once(home, release, monkeypatch):
    """A command in a shell without the service's environment must not turn PostgreSQL into SQLite."""
    monkeypatch.setenv(POSTGRES_VARIABLE, "127.0.0.1")
    follow_release(home, release)
    monkeypatch.delenv(POSTGRES_VARIABLE)
    (release / POSTGRES).write_text("storage: {postgres: {postgres_url: x}}\n")
    follow_release(home, release)
    assert (home / "dagster.yaml").read_text() == written_by(release, POSTGRES)


def test_a_damaged_note_counts_as_none(home, release):
    follow_release(home, release)
    (home / ".dagster.yaml.json").write_text("{")
    follow_release(home, release)
    assert (home / ".dagster.yaml.json").read_text() != "{"
