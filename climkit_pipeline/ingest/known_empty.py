"""Months of a long history in which a meter has no data: told by one answer of frequency M, and not asked for.

Such an answer is believed only where it states some month of the meter, only of months before the first of these, and
only once the month just before that one was asked for in quarter-hours and was empty: an answer cut at its front, or
one that leaves out a month that is not whole, would look just the same. Months amid others are always asked for.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from datetime import date, datetime, timedelta

import polars as pl

from climkit_pipeline.domain.periods import ONE_DAY, dates_between, last_month, month_start, next_month
from climkit_pipeline.ingest.comparisons import read_proofs
from climkit_pipeline.ingest.landing import Landed, LandingFolder
from climkit_pipeline.ingest.listings import SiteListing
from climkit_pipeline.ingest.reports import IngestRequest
from climkit_pipeline.ingest.stated_months import MonthQuestions, first_months_with_data, read_stated_months
from climkit_pipeline.ingest.tasks import Plan, Task
from climkit_pipeline.ingest.windows import Window
from climkit_pipeline.lake import coverage as law
from climkit_pipeline.lake import journals
from climkit_pipeline.lake.day_files import read_coverage
from climkit_pipeline.lake.forgotten import read_tombstones, without_month_values
from climkit_pipeline.lake.layout import Layout
from climkit_pipeline.lake.schemas import METER_INDICES, METER_INTERVALS, STATED_MONTHS

logger = logging.getLogger(__name__)

LONG_HISTORY = timedelta(days=366)
"""A shorter one costs as many calls to ask about as it could save."""
LEFT_OUT = frozenset({METER_INTERVALS.name, METER_INDICES.name})
"""The series whose empty months are left out: others are no reason to ask."""
NO_DATA = "no data, by the answer of whole months"


class KnownEmpty:
    """Asks, and files, which months of a history hold nothing."""

    def __init__(self, layout: Layout, questions: MonthQuestions, now: Callable[[], datetime]) -> None:
        self._layout = layout
        self._questions = questions
        self._now = now
        self._was_asked: set[tuple[str, str]] = set()
        """Site and meter, by this process: what is not answered now is not asked again with each month."""
        self._stated: pl.DataFrame | None = None

    def begin_run(self) -> None:
        """Forget what was read of the journal: once for all sites of a run is enough, but others write it, too."""
        self._stated = None

    def survey(self, request: IngestRequest, listing: SiteListing) -> None:
        """Ask for the months of each meter, if the request is part of a long history, and nobody has asked yet."""
        window, meters = self.wanted(request, listing)
        if window is None or not meters:
            return
        proofs = read_proofs(self._layout, self._now())
        months = self._questions.ask(listing, meters, window, proofs)
        self._was_asked |= {(listing.site_id, meter_id) for meter_id in meters}
        rows = without_month_values((month.as_row(self._now()) for month in months), read_tombstones(self._layout))
        journals.append(self._layout, STATED_MONTHS, rows)
        self._stated = None

    def expected_calls(self, request: IngestRequest, sites: Sequence[SiteListing]) -> int:
        """How many calls ``survey`` will make."""
        proofs = read_proofs(self._layout, self._now())
        return sum(self._questions.expected_calls(site, self.wanted(request, site)[1], proofs) for site in sites)

    def wanted(self, request: IngestRequest, listing: SiteListing) -> tuple[Window | None, list[str]]:
        """The months to ask for, and of which meters."""
        first = request.history_from
        if first is None or request.refetch or request.last_day - first < LONG_HISTORY:
            return None, []
        if not {dataset.name for dataset in request.series} & LEFT_OUT:
            return None, []
        window = Window(month_start(first), next_month(request.last_day) - ONE_DAY)
        # A meter whose range was asked for is not asked again, whatever came of it: by another process, if it answered.
        known = self._read().filter(site_id=listing.site_id)
        known = known.filter(pl.col("billing_month") <= window.first_day)
        asked = set(known["meter_id"]) | {
            meter_id for site_id, meter_id in self._was_asked if site_id == listing.site_id
        }
        return window, [meter for meter in listing.subjects(METER_INTERVALS.name) if meter not in asked]

    def leave_out(self, folder: LandingFolder, plan: Plan) -> Plan:
        """File the windows of a plan that are known to be empty; returns what is left to ask for.

        What somebody wants asked again is asked again, whatever is known.
        """
        firsts = first_months_with_data(self._read())
        left = []
        for task in plan.tasks:
            first = firsts.get((task.site_id, task.subject_id))
            if first is not None and not (task.is_probe or task.is_on_request) and self._is_empty(task, first):
                folder.add(self._as_empty(task, first))
            else:
                left.append(task)
        return Plan(tuple(left))

    def _read(self) -> pl.DataFrame:
        if self._stated is None:
            self._stated = read_stated_months(self._layout)
        return self._stated

    def _is_empty(self, task: Task, first: date) -> bool:
        margin = last_month(first)
        if task.dataset.name not in LEFT_OUT or task.window.last_day >= margin:
            return False
        days = dates_between(margin, first - ONE_DAY)
        coverage = read_coverage(self._layout, task.dataset, days, ("site_id", "subject_id", "state"))
        own = coverage.filter(site_id=task.site_id, subject_id=task.subject_id)
        return own.height == len(days) and set(own["state"]) == {law.EMPTY}

    def _as_empty(self, task: Task, first: date) -> Landed:
        asked = task.asked
        return Landed(
            dataset=task.dataset.name,
            site_id=task.site_id,
            subject_id=task.subject_id,
            timezone=task.listing.zone.key,
            first_day=task.window.first_day,
            last_day=task.window.last_day,
            received_at_utc=self._now(),
            asked_from_utc=asked.start_utc,
            asked_until_utc=asked.end_utc,
            exists_from_utc=task.listing.site.created_at_utc,
            interval_minutes=task.certain_minutes,
            detail=f"{NO_DATA}: the first is {first:%Y-%m}",
            body=b"[]",
        )
