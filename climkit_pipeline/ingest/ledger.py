"""The ledger of calls: one row per attempt, log-ins and listings included, and the counts of this process.

An attempt is noted in the run's landing folder at once and reaches ``lake/api_calls`` with the next commit. What is
called before a run has a folder (log-in, listings) waits in memory for it.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from climkit_pipeline.api import calls
from climkit_pipeline.api.client import OK, Attempt
from climkit_pipeline.ingest.landing import LandingFolder

SERIES_ENDPOINTS = frozenset({calls.SITE_DATA, calls.METER_DATA, calls.METER_DATA_RAW, calls.SENSOR_DATA})


@dataclass
class CallCounts:
    """What this process has called so far."""

    attempts: int = 0
    series_attempts: int = 0
    retries: int = 0
    """Attempts after the first one of their call."""
    failed_attempts: int = 0
    between_series: int = 0
    """Attempts of any kind after the first and up to the last one at a series call."""
    first_series_at: datetime | None = None
    last_series_at: datetime | None = None

    def share_of_slots(self, requests_per_second: float) -> float | None:
        """Share of the starts that the rate allowed between the first and the last series call that were used."""
        if self.first_series_at is None or self.last_series_at is None:
            return None
        seconds = (self.last_series_at - self.first_series_at).total_seconds()
        return self.between_series / (seconds * requests_per_second) if seconds > 0 else None


class CallLedger:
    """Keeps every attempt of one process; safe to share between threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: list[Mapping[str, Any]] = []
        self._folder: LandingFolder | None = None
        self._sequence = itertools.count(1)
        self._since_series = 0
        self.counts = CallCounts()

    def note(self, attempt: Attempt) -> None:
        """Keep one attempt."""
        with self._lock:
            self._count(attempt)
            row = _row(attempt, next(self._sequence))
            if self._folder is None:
                self._waiting.append(row)
            else:
                self._folder.add_call(row)

    @contextmanager
    def kept_in(self, folder: LandingFolder) -> Iterator[None]:
        """Put attempts into ``folder`` until the end of the block, those that waited for one first."""
        with self._lock:
            while self._waiting:
                folder.add_call(self._waiting[0])
                del self._waiting[0]
            self._folder = folder
        try:
            yield
        finally:
            with self._lock:
                self._folder = None

    @property
    def has_waiting(self) -> bool:
        """Whether attempts wait for a folder."""
        return bool(self._waiting)

    def _count(self, attempt: Attempt) -> None:
        counts = self.counts
        counts.attempts += 1
        counts.retries += attempt.number > 1
        counts.failed_attempts += attempt.outcome != OK
        self._since_series += 1
        if attempt.call.endpoint in SERIES_ENDPOINTS:
            counts.series_attempts += 1
            if counts.first_series_at is None:
                counts.first_series_at = attempt.started_at_utc
            else:
                counts.between_series += self._since_series
            self._since_series = 0
            counts.last_series_at = attempt.started_at_utc


def _row(attempt: Attempt, sequence: int) -> Mapping[str, Any]:
    call = attempt.call
    return {
        "sequence": sequence,
        "endpoint": call.endpoint,
        "site_id": call.site_id,
        "subject_id": call.subject_id,
        "purpose": call.purpose,
        "window_start_utc": call.period.start_utc if call.period else None,
        "window_end_utc": call.period.end_utc if call.period else None,
        "attempt": attempt.number,
        "started_at_utc": attempt.started_at_utc,
        "duration_seconds": attempt.duration_seconds,
        "status": attempt.status,
        "outcome": attempt.outcome,
        "rows": attempt.rows,
        "bytes": attempt.size_bytes,
        "sha256": attempt.sha256,
    }
