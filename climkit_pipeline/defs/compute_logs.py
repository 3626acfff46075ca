"""What a run's process prints, for the tabs stdout and stderr of the run's page.

Dagster's own manager copies the output to the terminal, too, through two more processes a stream, and would take a
command's progress bar away. This one writes to the files alone, and leaves the terminal to the command that has one.
The files lie in ``storage/<run id>/`` of the instance's directory and go with their run (``climkit tidy``).
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from dagster import DagsterInstance, Field, StringSource
from dagster._core.execution.compute_logs import redirect_to_file
from dagster._core.storage.compute_log_manager import CapturedLogContext, ComputeIOType
from dagster._core.storage.local_compute_log_manager import IO_TYPE_EXTENSION, LocalComputeLogManager
from dagster._serdes import ConfigurableClassData

IN_A_TERMINAL = "This run was started by a command: what it printed stood in that command's terminal.\n"


class RunOutput(LocalComputeLogManager):
    """Keeps what runs print; named in ``dagster.yaml``."""

    has_terminal = False
    """Whether this process is a command's, whose output belongs to whoever started it."""

    @classmethod
    def config_type(cls) -> dict[str, Any]:
        """The instance's directory."""
        return {"home": Field(StringSource)}

    @classmethod
    def from_config_value(cls, inst_data: ConfigurableClassData | None, config_value: Mapping[str, Any]) -> RunOutput:
        """As Dagster makes it from its settings."""
        return cls(base_dir=str(Path(config_value["home"]) / "storage"), inst_data=inst_data)

    @contextmanager
    def capture_logs(self, log_key: Sequence[str]) -> Iterator[CapturedLogContext]:
        """Send what this process prints into the run's files for as long as the block lasts."""
        out, err = (
            Path(self.get_captured_local_path(log_key, IO_TYPE_EXTENSION[stream]))
            for stream in (ComputeIOType.STDOUT, ComputeIOType.STDERR)
        )
        out.parent.mkdir(parents=True, exist_ok=True)
        if self.has_terminal:
            for path in (out, err):
                path.write_text(IN_A_TERMINAL, encoding="utf-8")
            yield CapturedLogContext(log_key)
        else:
            with redirect_to_file(sys.stdout, str(out)), redirect_to_file(sys.stderr, str(err)):
                yield CapturedLogContext(log_key)
        out.with_suffix(".complete").touch()

    @contextmanager
    def open_log_stream(self, log_key: Sequence[str], io_type: ComputeIOType) -> Iterator[IO[bytes] | None]:
        """None: it is for what sensors log, which would leave an empty file at each of their looks."""
        yield None


def keep_terminal(instance: DagsterInstance) -> None:
    """Say that this process is a command's."""
    if isinstance(instance.compute_log_manager, RunOutput):
        instance.compute_log_manager.has_terminal = True


def forget_output(instance: DagsterInstance, run_id: str) -> None:
    """Remove what a run printed."""
    instance.compute_log_manager.delete_logs(prefix=[run_id])
