"""Creation dates of sites: they order the work, and forbid nothing without a word.

Days before a site's creation are not asked for, since a history of years would cost a call for each meter and month of
them. But the date may be that of a migration, or of the contract: so one call looks at the days before it, and where
data are known from before it, it counts for nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime

import polars as pl

from climkit_pipeline.domain.periods import ONE_DAY, dates_between, local_day
from climkit_pipeline.ingest.frames import Finding
from climkit_pipeline.ingest.listings import SiteListing
from climkit_pipeline.ingest.news import keep
from climkit_pipeline.ingest.purposes import HISTORY
from climkit_pipeline.ingest.reports import IngestRequest
from climkit_pipeline.ingest.tasks import Task
from climkit_pipeline.ingest.windows import Window
from climkit_pipeline.lake.coverage import FAILED
from climkit_pipeline.lake.day_files import read_coverage
from climkit_pipeline.lake.first_days import first_days_with_rows
from climkit_pipeline.lake.layout import Layout
from climkit_pipeline.lake.schemas import SERIES, SITE_INTERVALS, SITES

DAYS_LOOKED_AT = 28
"""Before a creation date: with data in none of them, there are taken to be none before."""
SITES_NAMED = 3
CREATED_EARLIER = "created_earlier"


@dataclass(frozen=True, slots=True)
class NotAsked:
    """Days of a request that lie before a site's creation."""

    site_name: str
    first_day: date
    last_day: date
    created_on: date

    def __str__(self) -> str:
        days = (self.last_day - self.first_day).days + 1
        return (
            f"{days} day{'s' * (days != 1)} of {self.site_name} ({self.first_day}..{self.last_day}), "
            f"before its creation date {self.created_on}"
        )


def created_on(listing: SiteListing) -> date | None:
    """The local day of a site's creation."""
    created = listing.site.created_at_utc
    return created.astimezone(listing.zone).date() if created else None


def first_known_days(layout: Layout) -> dict[str, date]:
    """The first local day with rows of any series, by site."""
    known: dict[str, date] = {}
    for dataset in SERIES:
        for (site_id, _), day in first_days_with_rows(layout, dataset).items():
            known[site_id] = min(day, known.get(site_id, day))
    return known


def as_known(layout: Layout, sites: Iterable[SiteListing]) -> list[SiteListing]:
    """The listings, each without its creation date if data are known from before it."""
    first_known = first_known_days(layout)

    def has_earlier_data(listing: SiteListing) -> bool:
        created, known = created_on(listing), first_known.get(listing.site_id)
        return created is not None and known is not None and known < created

    return [_undated(listing) if has_earlier_data(listing) else listing for listing in sites]


def _undated(listing: SiteListing) -> SiteListing:
    return replace(listing, site=replace(listing.site, created_at_utc=None))


def not_asked(layout: Layout, request: IngestRequest, sites: Iterable[SiteListing]) -> list[NotAsked]:
    """The days of a request that no meter is asked for, because they lie before their site's creation."""
    found = []
    for listing in as_known(layout, sites):
        days, created = [day for day in request.days if listing.is_before_creation(day)], created_on(listing)
        if days and created is not None:
            found.append(NotAsked(listing.name, days[0], days[-1], created))
    return found


def sentence(left_out: Sequence[NotAsked]) -> str | None:
    """What is said of days that are not asked for; None if there are none."""
    if not left_out:
        return None
    named = "; ".join(map(str, left_out[:SITES_NAMED]))
    more = f"; and of {len(left_out) - SITES_NAMED} more sites" if len(left_out) > SITES_NAMED else ""
    return f"not asked for, but for a call or two that look whether there are data: {named}{more}"


def probe(layout: Layout, request: IngestRequest, listing: SiteListing, now: datetime, window_days: int) -> Task | None:
    """A call for days before a site's creation, unless they have been looked at."""
    created = created_on(listing)
    before = [
        day for day in request.days if listing.is_before_creation(day) and local_day(day, listing.zone).start_utc < now
    ]
    dataset = SITE_INTERVALS if SITE_INTERVALS in request.series else next(iter(request.series), None)
    subjects = listing.subjects(dataset.name) if dataset else []
    if created is None or not before or dataset is None or not subjects:
        return None
    window = Window(max(before[0], before[-1] - ONE_DAY * (min(window_days, DAYS_LOOKED_AT) - 1)), before[-1])
    looked_at = dates_between(created - ONE_DAY * DAYS_LOOKED_AT, created - ONE_DAY)
    asked = read_coverage(layout, dataset, sorted({*looked_at, *window.dates}), ("site_id", "subject_id", "state"))
    of_subject = asked.filter(site_id=listing.site_id, subject_id=subjects[0]).filter(pl.col("state") != FAILED)
    days = set(of_subject["local_date"])
    if days.issuperset(looked_at) or days.issuperset(window.dates):
        return None
    return Task(dataset, _undated(listing), subjects[0], window, is_probe=True, purpose=HISTORY)


def tell(layout: Layout, listing: SiteListing, now: datetime) -> Finding:
    """A finding for a site of which there are data from before its creation; keeps it."""
    first_known = first_known_days(layout)[listing.site_id]
    sample = (
        f"there are data of {first_known}, and its creation date is {created_on(listing)}: its days are asked for as "
        "if it stated none"
    )
    finding = Finding(CREATED_EARLIER, SITES.name, listing.site_id, listing.site_id, 1, (sample,))
    keep(layout, [finding], now)
    return finding
