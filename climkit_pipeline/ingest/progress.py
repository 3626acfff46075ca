"""How far a run is: calls done and left, and when it will end; for a terminal and for Dagster's event log alike.

Here: counting. Not here: how it is shown (``cli.progress_display``, ``defs.run_log``).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta

from climkit_pipeline.ingest.reports import Progress


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
        """So many calls are left, by an estimate made before the parts are planned one by one."""
        self._expected = max(self._expected, self._done + calls)
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


def end_text(seconds: float) -> str:
    """When something ends that takes ``seconds`` more, by the clock of this machine."""
    end = datetime.now().astimezone() + timedelta(seconds=seconds)
    day = "" if seconds < 12 * 3600 else f"{end:%a %d %b} "
    return f"ends about {day}{end:%H:%M}" if seconds >= 60 else "ends in under a minute"


class Watchers:
    """Several who want to know; of each run some more."""

    def __init__(self, *watchers: Progress) -> None:
        self._watchers = list(watchers)

    @contextmanager
    def joined_by(self, other: Progress | None) -> Iterator[None]:
        """One more, inside the block."""
        if other is None:
            yield
            return
        self._watchers.append(other)
        try:
            yield
        finally:
            self._watchers.remove(other)

    def expect(self, calls: int) -> None:
        """Tell all."""
        for watcher in self._watchers:
            watcher.expect(calls)

    def planned(self, calls: int) -> None:
        """Tell all."""
        for watcher in self._watchers:
            watcher.planned(calls)

    def called(self, label: str, calls: int = 1) -> None:
        """Tell all."""
        for watcher in self._watchers:
            watcher.called(label, calls)

    def note(self, label: str) -> None:
        """Tell all."""
        for watcher in self._watchers:
            watcher.note(label)

    def waiting(self, reason: str) -> None:
        """Tell all."""
        for watcher in self._watchers:
            watcher.waiting(reason)
