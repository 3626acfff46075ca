"""What runs print is on their page, and a command keeps its terminal."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import click
import dagster as dg
import pytest
from dagster._core.storage.compute_log_manager import ComputeIOType

from climkit_pipeline.defs.compute_logs import IN_A_TERMINAL, forget_output, keep_terminal
from climkit_pipeline.defs.dagster_home import follow_release
from climkit_pipeline.installation import ROOT_DIR


@dg.op
def talk() -> None:
    click.echo("said to stdout")
    click.echo("said to stderr", err=True)


@dg.job
def talking() -> None:
    talk()


@pytest.fixture
def instance(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dg.DagsterInstance]:
    """An instance with the settings that come with a release."""
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    follow_release(tmp_path, ROOT_DIR)
    with dg.DagsterInstance.from_config(str(tmp_path)) as instance:
        yield instance


def run(instance: dg.DagsterInstance) -> tuple[str, bytes, bytes]:
    """The run's id, and what its page shows."""
    run_id = talking.execute_in_process(instance=instance).run_id
    (event,) = instance.all_logs(run_id, of_type=dg.DagsterEventType.LOGS_CAPTURED)
    assert event.dagster_event is not None
    key: str = event.dagster_event.event_specific_data.file_key  # type: ignore[union-attr]
    shown = instance.compute_log_manager.get_log_data([run_id, "compute_logs", key])
    return run_id, shown.stdout or b"", shown.stderr or b""


def test_what_a_run_prints_is_kept_with_it_and_goes_with_it(instance, tmp_path, capfd):
    """The tabs were there, and empty."""
    run_id, out, err = run(instance)
    assert out == b"said to stdout\n"
    assert b"said to stderr\n" in err
    assert b"RUN_SUCCESS" not in err, "only while steps run"
    click.echo("after the run")
    assert "after the run" in capfd.readouterr().out
    assert (tmp_path / "storage" / run_id).is_dir()
    forget_output(instance, run_id)
    assert not (tmp_path / "storage" / run_id).exists()
    forget_output(instance, run_id)


def test_a_command_keeps_its_terminal_and_the_page_says_so(instance, capfd):
    keep_terminal(instance)
    _, out, err = run(instance)
    assert out.decode() == err.decode() == IN_A_TERMINAL
    assert "said to stdout" in capfd.readouterr().out


def test_a_look_of_a_sensor_leaves_no_file(instance, tmp_path):
    """One every fifteen seconds, from each of three sensors."""
    with instance.compute_log_manager.open_log_stream(["a", "sensor", "tick"], ComputeIOType.STDERR) as stream:
        assert stream is None
    assert not (tmp_path / "storage" / "a").exists()
