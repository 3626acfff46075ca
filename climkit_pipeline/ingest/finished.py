"""Which days of a run are finished, and how they stand: told while the run goes on.

A day is finished when the last site is committed of which something of it had to be asked for. Not here: what is asked
(``planning``), and what a day's states mean (``lake.coverage``).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime
from zoneinfo import ZoneInfo

from climkit_pipeline.domain.periods import local_day
from climkit_pipeline.ingest.listings import SiteListing
from climkit_pipeline.ingest.reports import IngestReport, IngestRequest
from climkit_pipeline.ingest.tasks import Plan
from climkit_pipeline.lake import coverage as law
from climkit_pipeline.lake.day_files import read_coverage
from climkit_pipeline.lake.layout import Layout
from climkit_pipeline.lake.schemas import DATASETS, SNAPSHOTS, Dataset

SET_ASIDE = "set_aside"
"""How a failure counts that is no news."""

DaysListener = Callable[[str, Mapping[date, Counter[str]]], None]
"""Who wants to know of a dataset's days that are good now: subjects by coverage state, per day."""


def ignore_days(dataset: str, days: Mapping[date, Counter[str]]) -> None:
    """Nobody wants to know."""
    del dataset, days


class FinishedDays:
    """Keeps the states of finished days in the report, and tells ``on_days`` of those that ended and are good."""

    def __init__(
        self,
        layout: Layout,
        report: IngestReport,
        on_days: DaysListener,
        zone: ZoneInfo,
        now: Callable[[], datetime],
    ) -> None:
        self._layout = layout
        self._report = report
        self._on_days = on_days
        self._zone = zone
        self._now = now
        self._sites: Sequence[SiteListing] = ()
        self._unfinished: dict[str, set[date]] = {}

    def begin(self, request: IngestRequest, sites: Sequence[SiteListing], planned: Plan) -> None:
        """A part of the run begins; days of which nothing is to be asked for are finished."""
        self._sites, self._unfinished = sites, {}
        for task in planned.tasks:
            self._unfinished.setdefault(task.site_id, set()).update(task.window.dates)
        self.tell(sites, set(request.days).difference(*self._unfinished.values()))

    def is_done(self, listing: SiteListing) -> None:
        """Everything of a site is committed."""
        of_site = self._unfinished.pop(listing.site_id, set())
        self.tell(self._sites, of_site.difference(*self._unfinished.values()))

    def tell(self, sites: Sequence[SiteListing], days: set[date]) -> None:
        """Say how these days stand, and tell of those that are what was asked for."""
        for name in self._report.request.datasets:
            states = self._report.states.setdefault(name, {})
            states |= self._states_of(DATASETS[name], sorted(days), sites)
            good = sorted(days - self._report.failed_days(name))
            ended = {day: states[day] for day in good if local_day(day, self._zone).end_utc <= self._now()}
            if ended:
                self._on_days(name, ended)

    def _states_of(
        self, dataset: Dataset, days: Sequence[date], sites: Sequence[SiteListing]
    ) -> dict[date, Counter[str]]:
        read_sites = {listing.site_id for listing in sites}
        listed = {
            (listing.site_id, subject_id)
            for listing in sites
            for subject_id in ([listing.site_id] if dataset in SNAPSHOTS else listing.subjects(dataset.name))
        }
        states: dict[date, Counter[str]] = {day: Counter() for day in days}
        coverage = read_coverage(self._layout, dataset, days, ("site_id", "subject_id", "state"))
        for day, site_id, subject_id, state in coverage.iter_rows():
            # What is no longer listed cannot be asked for: its failure would stay for ever.
            if site_id in read_sites and (state != law.FAILED or (site_id, subject_id) in listed):
                is_no_news = state == law.FAILED and self._report.request.is_set_aside(site_id, subject_id, day)
                states[day][SET_ASIDE if is_no_news else state] += 1
        return states
