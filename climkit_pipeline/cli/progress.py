"""Progress for people: a bar that says when it will end on a terminal, plain lines elsewhere. Goes to stderr."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn

SECONDS_BETWEEN_LINES = 30.0


class CallProgress:
    """Counts calls against what is planned; the end is told from the allowed rate or the pace so far, the slower."""

    def __init__(
        self,
        show: Callable[[str, int, int, float, bool], None],
        seconds_per_call: float,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._show = show
        self._seconds_per_call = seconds_per_call
        self._monotonic = monotonic
        self._started: float | None = None
        self._expected = self._planned = self._done = 0

    def expect(self, calls: int) -> None:
        """Estimate of the calls of the whole command, before its parts are planned one by one."""
        self._expected = self._done + calls
        self._update("planning")

    def planned(self, calls: int) -> None:
        """So many more calls will be made."""
        self._planned += calls
        self._update("calling")

    def called(self, label: str, calls: int = 1) -> None:
        """So many calls are done."""
        self._done += calls
        self._update(label)

    def note(self, label: str) -> None:
        """Something is done, or waited for, that takes no calls."""
        self._update(label, is_news=True)

    def waiting(self, reason: str) -> None:
        """A call has to be made again."""
        self._update(reason)

    @property
    def total(self) -> int:
        """Calls expected in all."""
        return max(self._expected, self._planned)

    def seconds_left(self) -> float:
        """Seconds until the last call."""
        pace = self._seconds_per_call
        if self._started is not None and self._done >= 5:
            pace = max(pace, (self._monotonic() - self._started) / self._done)
        return (self.total - self._done) * pace

    def _update(self, label: str, *, is_news: bool = False) -> None:
        if self._started is None:
            self._started = self._monotonic()
        self._show(label, self._done, self.total, self.seconds_left(), is_news)


def _end_text(seconds: float) -> str:
    end = datetime.now().astimezone() + timedelta(seconds=seconds)
    day = "" if seconds < 12 * 3600 else f"{end:%a %d %b} "
    return f"ends about {day}{end:%H:%M}" if seconds >= 60 else "ends in under a minute"


@contextmanager
def call_progress(seconds_per_call: float) -> Iterator[CallProgress]:
    """Progress on stderr until the end of the block."""
    if sys.stderr.isatty():
        with _bar() as (bar, task):

            def show_bar(label: str, done: int, total: int, left: float, is_news: bool) -> None:
                end = "" if is_news else _end_text(left)
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
            end = "" if is_news else f", {_end_text(left)}"
            sys.stderr.write(f"{done}/{total} calls, {label}{end}\n")
            sys.stderr.flush()
