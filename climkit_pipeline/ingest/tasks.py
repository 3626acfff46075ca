"""One window of one subject: what to send for it, and how its answer is put on disk; and a plan of many."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from typing import Literal

from climkit_pipeline.api.calls import Call
from climkit_pipeline.api.client import Answer
from climkit_pipeline.domain.periods import ONE_DAY, Period, dates_between, local_days
from climkit_pipeline.ingest import intervals, readings
from climkit_pipeline.ingest.landing import Kind, Landed
from climkit_pipeline.ingest.listings import SiteListing
from climkit_pipeline.ingest.windows import Window
from climkit_pipeline.lake.schemas import Dataset


@dataclass(frozen=True, slots=True)
class Halved:
    """A window that was cut in two, and why: refused, or no answer whatever was tried."""

    window: Window
    reason: Literal["refused", "silent"]


@dataclass(frozen=True, slots=True)
class Task:
    """One window of one subject, to be asked for."""

    dataset: Dataset
    listing: SiteListing = field(repr=False)
    subject_id: str
    window: Window
    half_of: Halved | None = None
    """The window that this one was cut from because it brought no answer."""
    is_bare: bool = False
    """Whether the window must not begin earlier than the first day: the API refuses what does."""
    stated_minutes: tuple[tuple[date, date, int], ...] = ()
    """What the user's files state of the subject's step on days, both included."""

    is_probe: bool = False
    """Whether it only looks whether there are data: no answer is none that is missing."""
    is_sparing: bool = False
    """Whether days amid months are given up where the API takes short windows alone (``raw_policy``)."""
    purpose: str | None = None
    """What the call is made for (``purposes``)."""
    is_on_request: bool = False
    """Whether somebody wants it asked again although the API refused it before."""

    @property
    def key(self) -> tuple[str, str, str]:
        """Dataset, site and subject."""
        return self.dataset.name, self.site_id, self.subject_id

    @property
    def site_id(self) -> str:
        """The site's id."""
        return self.listing.site_id

    @property
    def wanted_days(self) -> Window:
        """The days whose rows are kept: readings begin a day early, for the reading that opens the window."""
        if self.dataset.kind == "reading" and not self.is_bare:
            early = self.window.first_day - ONE_DAY
            if not self.listing.is_before_creation(early):
                return Window(early, self.window.last_day)
        return self.window

    @property
    def asked(self) -> Period:
        """What to send."""
        days = self.wanted_days
        return self.asked_for(local_days(days.first_day, days.last_day, self.listing.zone))

    def asked_for(self, wanted: Period) -> Period:
        """What to send so that all of ``wanted`` comes: intervals begin early, so that none is near the start."""
        lead_in = timedelta(0)
        if self.dataset.kind == "interval" and not self.is_bare:
            # Of longer intervals, a day holds at least one.
            lead_in = intervals.LEAD_IN if self.certain_minutes else ONE_DAY
        return intervals.asked_period(wanted, lead_in, self.listing.site.created_at_utc)

    @property
    def certain_minutes(self) -> int | None:
        """The step of the subject's intervals where it is certain."""
        is_interval = self.dataset.kind == "interval"
        return self.listing.interval_minutes(self.dataset.name, self.subject_id) if is_interval else None

    def halves(self, reason: Literal["refused", "silent"]) -> tuple[Task, Task]:
        """The task cut in the middle, older half first; needs at least two days."""
        older, newer = self.window.halves()
        whole = Halved(self.window, reason)
        return replace(self, window=older, half_of=whole), replace(self, window=newer, half_of=whole)

    def call(self, asked: Period) -> Call:
        """The call that asks for ``asked``."""
        call_for = intervals.call_for if self.dataset.kind == "interval" else readings.call_for
        return replace(call_for(self.dataset, self.site_id, self.subject_id, asked), purpose=self.purpose)

    def landed(self, answer: Answer, asked: Period, kind: Kind, kept_from: datetime | None = None) -> Landed:
        """The answer as it is put on disk; its rows count from ``kept_from``, or from the first day wanted."""
        days = self.wanted_days
        kept_from = kept_from or local_days(days.first_day, days.last_day, self.listing.zone).start_utc
        return Landed(
            dataset=self.dataset.name,
            site_id=self.site_id,
            subject_id=self.subject_id,
            timezone=self.listing.zone.key,
            first_day=days.first_day,
            last_day=days.last_day,
            received_at_utc=answer.received_at_utc,
            kind=kind,
            asked_from_utc=asked.start_utc,
            asked_until_utc=asked.end_utc,
            exists_from_utc=self.listing.site.created_at_utc,
            kept_from_utc=kept_from,
            interval_minutes=self.certain_minutes,
            stated_minutes=self.stated_minutes,
            body=answer.body,
        )


@dataclass(frozen=True, slots=True)
class Plan:
    """The series calls that a request needs now."""

    tasks: tuple[Task, ...]

    def calls_by_dataset_and_site(self) -> dict[tuple[str, str], int]:
        """How many calls per dataset and site."""
        return dict(Counter((task.dataset.name, task.site_id) for task in self.tasks))

    @property
    def days(self) -> int:
        """How many local days will be filled, whatever the dataset."""
        windows = {task.window for task in self.tasks}
        return len({day for window in windows for day in dates_between(window.first_day, window.last_day)})

    @property
    def subject_days(self) -> Counter[str]:
        """Days of single subjects that will be filled, per dataset."""
        days: Counter[str] = Counter()
        for task in self.tasks:
            days[task.dataset.name] += task.window.days
        return days
