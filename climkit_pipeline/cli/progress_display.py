"""Progress for people: a bar that says when it will end on a terminal, plain lines elsewhere. Goes to stderr."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn

from climkit_pipeline.ingest.progress import CallProgress, end_text

SECONDS_BETWEEN_LINES = 30.0


@contextmanager
def call_progress(seconds_per_call: float) -> Iterator[CallProgress]:
    """Progress on stderr until the end of the block."""
    if sys.stderr.isatty():
        with _bar() as (bar, task):

            def show_bar(label: str, done: int, total: int, left: float, is_news: bool) -> None:
                end = "" if is_news else end_text(left)
                bar.update(task, description=label, completed=done, total=max(total, 1), end=end)

            yield CallProgress(show_bar, seconds_per_call)
    else:
        yield CallProgress(_Lines().show, seconds_per_call)


@contextmanager
def _bar() -> Iterator[tuple[Progress, TaskID]]:
    columns = (
        SpinnerColumn(),
        MofNCompleteColumn(),
        TextColumn("calls"),
        BarColumn(bar_width=12),
        TimeElapsedColumn(),
        TextColumn("{task.fields[end]}", markup=False),
        TextColumn("{task.description}", markup=False),
    )
    # A copy of the terminal's descriptor: Dagster may redirect the process's own while a step runs.
    with (
        os.fdopen(os.dup(sys.stderr.fileno()), "w") as terminal,
        Progress(*columns, console=Console(file=terminal)) as bar,
    ):
        yield bar, bar.add_task("starting", total=None, end="")


class _Lines:
    """One line for what is new, and now and then one in between."""

    def __init__(self) -> None:
        self._last = float("-inf")

    def show(self, label: str, done: int, total: int, left: float, is_news: bool) -> None:
        now = time.monotonic()
        if not total:
            return  # nothing has been answered yet: either it soon is, or the error says it all
        if is_news or now - self._last >= SECONDS_BETWEEN_LINES:
            self._last = now
            end = "" if is_news else f", {end_text(left)}"
            sys.stderr.write(f"{done}/{total} calls, {label}{end}\n")
            sys.stderr.flush()
