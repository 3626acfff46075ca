"""What an ingestion is asked for, how far it is, and what it says in the end.

Here: values without behaviour of their own. Not here: who fills them (``ingestion``, ``fetching``).
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Protocol

from climkit_pipeline.domain.periods import dates_between
from climkit_pipeline.ingest.commit_report import CommitReport
from climkit_pipeline.ingest.frames import Finding
from climkit_pipeline.ingest.landing import Landed
from climkit_pipeline.lake.coverage import FAILED
from climkit_pipeline.lake.schemas import (
    DATASETS,
    METER_INDICES,
    METER_INTERVALS,
    SENSOR_READINGS,
    SITE_INTERVALS,
    Dataset,
)


class Progress(Protocol):
    """Who wants to know how far a run is."""

    def planned(self, calls: int) -> None:
        """So many more calls will be made."""

    def called(self, label: str, calls: int = 1) -> None:
        """So many calls are done."""

    def note(self, label: str) -> None:
        """Something is waited for."""

    def waiting(self, reason: str) -> None:
        """A call has to be made again."""


class Silent:
    """Progress that nobody watches."""

    def planned(self, calls: int) -> None:
        """Ignore."""

    def called(self, label: str, calls: int = 1) -> None:
        """Ignore."""

    def note(self, label: str) -> None:
        """Ignore."""

    def waiting(self, reason: str) -> None:
        """Ignore."""


@dataclass(frozen=True, slots=True)
class IngestRequest:
    """What to bring up to date: the sites' own local days, both included."""

    first_day: date
    last_day: date
    datasets: tuple[str, ...] = tuple(DATASETS)
    site_ids: tuple[str, ...] | None = None
    refetch: bool = False

    @property
    def days(self) -> list[date]:
        """Every local day asked for."""
        return dates_between(self.first_day, self.last_day)

    @property
    def series(self) -> list[Dataset]:
        """The series asked for, meters first: they are what bills need."""
        return [dataset for dataset in _FETCH_ORDER if dataset.name in self.datasets]


_FETCH_ORDER = (METER_INTERVALS, METER_INDICES, SITE_INTERVALS, SENSOR_READINGS)


@dataclass(frozen=True, slots=True)
class Failure:
    """A part that could not be brought up to date, for a person to read."""

    dataset: str
    site_id: str
    subject_id: str
    first_day: date
    last_day: date
    reason: str

    def __str__(self) -> str:
        about = self.site_id if self.subject_id == self.site_id else f"{self.site_id} {self.subject_id}"
        return f"{self.dataset} {about} {self.first_day}..{self.last_day}: {self.reason}"

    def landed(self, timezone: str, now: datetime) -> Landed:
        """The failure as it is put on disk, so that coverage knows of it."""
        return Landed(
            dataset=self.dataset,
            site_id=self.site_id,
            subject_id=self.subject_id,
            timezone=timezone,
            first_day=self.first_day,
            last_day=self.last_day,
            received_at_utc=now,
            kind="failure",
            detail=self.reason,
        )


@dataclass
class IngestReport:
    """What a run did and what is left."""

    request: IngestRequest
    calls: Counter[str] = field(default_factory=Counter)
    """Series calls by dataset (log-ins and listings apart)."""
    committed: CommitReport = field(default_factory=CommitReport)
    short_answers: int = 0
    """Answers that lacked rows which the day must have; each stretch was asked for again."""
    news: list[Finding] = field(default_factory=list)
    """Sites that left the account's listing, came back, or state another zone than before."""
    failures: list[Failure] = field(default_factory=list)
    states: dict[str, dict[date, Counter[str]]] = field(default_factory=dict)
    """Subjects by coverage state, per dataset and day, after the run."""

    def failed_days(self, dataset: str) -> set[date]:
        """The days of ``dataset`` that are not what was asked for."""
        failed = {day for day, states in self.states.get(dataset, {}).items() if states[FAILED]}
        for failure in self.failures:
            if failure.dataset == dataset:
                failed |= set(dates_between(failure.first_day, failure.last_day))
        return failed & set(self.request.days)

    @property
    def is_good(self) -> bool:
        """Whether every day of every dataset asked for is good."""
        return not any(self.failed_days(dataset) for dataset in self.request.datasets)
