"""What of a request has to be asked for now: coverage against what is listed.

Here: reading the lake. Not here: which windows cover the days (``windows``), and making the calls (``fetching``).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import date, datetime

import polars as pl

from climkit_pipeline.domain.periods import local_day
from climkit_pipeline.ingest import creation
from climkit_pipeline.ingest.listings import SiteListing
from climkit_pipeline.ingest.purposes import purpose_of
from climkit_pipeline.ingest.raw_policy import SHORT_WINDOW, is_at_a_bound
from climkit_pipeline.ingest.reports import IngestRequest
from climkit_pipeline.ingest.tasks import Plan, Task
from climkit_pipeline.ingest.windows import is_missing, months_newest_first, plan_windows
from climkit_pipeline.lake import coverage as law
from climkit_pipeline.lake.coverage import DayCoverage
from climkit_pipeline.lake.day_files import by_day, read_coverage
from climkit_pipeline.lake.first_days import first_days_with_rows, refused_until
from climkit_pipeline.lake.forgotten import read_tombstones
from climkit_pipeline.lake.layout import Layout
from climkit_pipeline.lake.schemas import METER_INTERVALS, SNAPSHOTS

DAYS_AT_ONCE = 62
"""A longer range is brought up to date month by month."""


def stretches_of(request: IngestRequest) -> list[IngestRequest]:
    """A range of years month by month, newest first: a site is done, and free for others, within minutes.

    Older raw readings are an exception: their windows are longer than a month.
    """
    if len(request.days) <= DAYS_AT_ONCE or request.is_raw_sparing:
        return [request]
    months = months_newest_first(request.first_day, request.last_day)
    return [replace(request, first_day=month.first_day, last_day=month.last_day) for month in months]


def plan_calls(
    layout: Layout,
    request: IngestRequest,
    sites: Sequence[SiteListing],
    window_days: Callable[[str], int],
    now: datetime,
) -> Plan:
    """The calls that bring ``request`` up to date, meters first, site by site.

    ``window_days`` gives the longest window of a dataset; days that begin after ``now`` are left out.
    """
    tasks: list[Task] = []
    sites = creation.as_known(layout, sites)
    tombstones = read_tombstones(layout)
    wanted = pl.col("site_id").is_in([listing.site_id for listing in sites])
    for dataset in request.series:
        firsts, until = first_days_with_rows(layout, dataset), refused_until(layout, dataset)
        known = by_day(read_coverage(layout, dataset, request.days).filter(wanted))
        coverage = {day: law.from_frame(known[day]) if day in known else {} for day in request.days}
        for listing in sites:
            begun = [
                day
                for day in request.days
                if not listing.is_before_creation(day) and local_day(day, listing.zone).start_utc < now
            ]
            for subject_id in listing.subjects(dataset.name):
                key = (listing.site_id, subject_id)
                if request.meter_ids is not None and subject_id not in request.meter_ids:
                    continue
                days = begun if request.refetch else _missing(begun, key, coverage, firsts.get(key), request)
                if request.refetch and request.is_urgent:
                    # What the API refused once is asked for again on request, not every morning.
                    days = [day for day in days if key not in coverage[day] or day > until.get(key, date.min)]
                days = [day for day in days if not any(each.covers(*key, day) for each in tombstones)]
                if request.is_raw_sparing and window_days(dataset.name) < SHORT_WINDOW:
                    days = [day for day in days if is_at_a_bound(day)]
                windows = plan_windows(days, window_days(dataset.name))
                stated = request.steps_of(*key) if dataset is METER_INTERVALS else ()
                is_on_request = request.refetch and not request.is_urgent
                # Newest first: where the API refuses what begins too early, the newer answer tells.
                tasks += [
                    Task(
                        dataset,
                        listing,
                        subject_id,
                        window,
                        stated_minutes=stated,
                        is_sparing=request.is_raw_sparing,
                        purpose=purpose_of(request, dataset, window),
                        is_on_request=is_on_request,
                    )
                    for window in reversed(windows)
                ]
    if request.series:
        longest = window_days(request.series[0].name)
        probes = (creation.probe(layout, request, listing, now, longest) for listing in sites)
        tasks += filter(None, probes)
    return Plan(tuple(tasks))


def _missing(
    days: Sequence[date],
    key: tuple[str, str],
    coverage: dict[date, dict[tuple[str, str], DayCoverage]],
    first_day_with_rows: date | None,
    request: IngestRequest,
) -> list[date]:
    def is_wanted(day: date) -> bool:
        known = coverage[day].get(key)
        if known is None:
            return True
        # What failed of a meter that is set aside is asked for again by the look-back, and on request.
        is_given_up = known.state == law.FAILED and request.is_set_aside(*key, day)
        return is_missing(known, day, first_day_with_rows) and not is_given_up

    return [day for day in days if is_wanted(day)]


def is_complete(
    layout: Layout,
    request: IngestRequest,
    sites: Sequence[SiteListing],
    window_days: Callable[[str], int],
    now: datetime,
) -> bool:
    """Whether nothing of ``request`` has to be asked for, if these are the account's sites; never without any."""
    return (
        bool(sites)
        and _has_snapshots(layout, request, sites)
        and not plan_calls(layout, request, sites, window_days, now).tasks
    )


def _has_snapshots(layout: Layout, request: IngestRequest, sites: Sequence[SiteListing]) -> bool:
    """Whether every day asked for holds a listing of each of ``sites`` that existed, and none that failed."""
    sites = creation.as_known(layout, sites)
    for dataset in SNAPSHOTS:
        if dataset.name not in request.datasets:
            continue
        coverage = read_coverage(layout, dataset, request.days, ("site_id", "state"))
        if law.FAILED in coverage["state"]:
            return False
        complete = by_day(coverage.filter(pl.col("state") == law.COMPLETE))
        for day in request.days:
            listed = set(complete[day]["site_id"]) if day in complete else set()
            existing = {listing.site_id for listing in sites if not listing.is_before_creation(day)}
            if existing - listed:
                return False
    return True
