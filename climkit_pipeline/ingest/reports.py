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

    def expect(self, calls: int) -> None:
        """So many calls are left, by an estimate made before the parts are planned one by one."""

    def planned(self, calls: int) -> None:
        """So many more calls will be made."""

    def called(self, label: str, calls: int = 1) -> None:
        """So many calls are done."""

    def note(self, label: str) -> None:
        """Something is waited for."""

    def waiting(self, reason: str) -> None:
        """A call has to be made again."""


@dataclass(frozen=True, slots=True)
class SetAside:
    """A meter (or sensor) that is known to be dead for a time: its failures are no news."""

    site_id: str
    subject_id: str
    first_day: date
    last_day: date


@dataclass(frozen=True, slots=True)
class StatedStep:
    """How long a meter's intervals are on some days, as the user's files say."""

    site_id: str
    subject_id: str
    first_day: date
    last_day: date
    minutes: int


@dataclass(frozen=True, slots=True)
class IngestRequest:
    """What to bring up to date: the sites' own local days, both included."""

    first_day: date
    last_day: date
    datasets: tuple[str, ...] = tuple(DATASETS)
    site_ids: tuple[str, ...] | None = None
    refetch: bool = False
    """Whether to ask again for what is complete."""
    is_urgent: bool = False
    """Whether it goes before runs that are not: the morning's before a history."""
    meter_ids: tuple[str, ...] | None = None
    """Only these meters; None: all."""
    purpose: str | None = None
    """What its calls are made for, where that does not follow from the rest (``purposes``)."""
    is_raw_sparing: bool = False
    """Whether, of raw readings, days amid months are given up where the API takes short windows alone."""
    history_from: date | None = None
    """The first day of a longer range that this request is a part of: months without data are told apart first."""
    set_aside: tuple[SetAside, ...] = ()
    """Whose failures do not make a day bad."""
    stated_steps: tuple[StatedStep, ...] = ()
    """Where the length of intervals is known from somebody, and not from the data."""

    @property
    def days(self) -> list[date]:
        """Every local day asked for."""
        return dates_between(self.first_day, self.last_day)

    @property
    def series(self) -> list[Dataset]:
        """The series asked for, meters first: they are what bills need."""
        return [dataset for dataset in _FETCH_ORDER if dataset.name in self.datasets]

    def steps_of(self, site_id: str, subject_id: str) -> tuple[tuple[date, date, int], ...]:
        """What is stated of a meter: first day, last day, minutes."""
        return tuple(
            (each.first_day, each.last_day, each.minutes)
            for each in self.stated_steps
            if (each.site_id, each.subject_id) == (site_id, subject_id)
        )

    def is_set_aside(self, site_id: str, subject_id: str, day: date) -> bool:
        """Whether a failure of that day is no news."""
        return any(
            (each.site_id, each.subject_id) == (site_id, subject_id) and each.first_day <= day <= each.last_day
            for each in self.set_aside
        )


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
    names: tuple[str, ...] = ()
    """What people call the site and the meter or sensor, as far as it is known."""

    def __str__(self) -> str:
        ids = self.site_id if self.subject_id == self.site_id else f"{self.site_id} {self.subject_id}"
        about = f"{', '.join(self.names)} ({ids})" if self.names else ids
        return f"{self.dataset} of {about}, {self.first_day}..{self.last_day}: {self.reason}"

    @property
    def days(self) -> set[date]:
        """The days that it is about."""
        return set(dates_between(self.first_day, self.last_day))

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
    """Sites and meters that are new, gone, back, or listed as something else than before."""
    failures: list[Failure] = field(default_factory=list)
    states: dict[str, dict[date, Counter[str]]] = field(default_factory=dict)
    """Subjects by coverage state, per dataset and day, as far as days have been finished."""

    def failed_days(self, dataset: str) -> set[date]:
        """The days of ``dataset`` that are not what was asked for."""
        failed = {day for day, states in self.states.get(dataset, {}).items() if states[FAILED]}
        for failure in self.failures:
            if failure.dataset == dataset:
                failed |= self._bad_days(failure)
        return failed & set(self.request.days)

    def reasons(self, dataset: str, day: date) -> list[str]:
        """Why a day is not what was asked for, one line each."""
        return [str(each) for each in self.failures if each.dataset == dataset and day in self._bad_days(each)]

    def _bad_days(self, failure: Failure) -> set[date]:
        of_subject = failure.site_id, failure.subject_id
        return {day for day in failure.days if not self.request.is_set_aside(*of_subject, day)}

    @property
    def is_good(self) -> bool:
        """Whether every day of every dataset asked for is good."""
        return not any(self.failed_days(dataset) for dataset in self.request.datasets)
