"""Sites and meters that are new, gone, back, or listed as something else than before: each said once.

A listing is compared with the newest snapshot of its site, which it replaces at once, so nothing is found twice. Here:
what a site's own lists say. Not here: sites that leave the account's list (``absences``).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import date, datetime
from typing import Any

import polars as pl

from climkit_pipeline.ingest.frames import Finding
from climkit_pipeline.ingest.listings import SiteListing
from climkit_pipeline.ingest.news import keep
from climkit_pipeline.ingest.snapshots import parse_answer
from climkit_pipeline.lake.coverage import COMPLETE
from climkit_pipeline.lake.day_files import current_rows, days_on_disk, read_coverage, read_day, read_days
from climkit_pipeline.lake.layout import Layout
from climkit_pipeline.lake.schemas import METERS, SITES, Dataset

NEW_SITE, CHANGED_SITE = "site_new", "site_changed"
NEW, GONE, BACK, CHANGED = "meter_new", "meter_vanished", "meter_returned", "meter_changed"

TOLD_ELSEWHERE = {"timezone", "is_timezone_assumed"}
"""What a site states of its zone: ``zones`` says more of it."""

Row = Mapping[str, Any]


def news_of_listings(layout: Layout, sites: Iterable[SiteListing], now: datetime) -> list[Finding]:
    """Findings for what is listed otherwise than in the newest snapshots; keeps them.

    The first listing of all is no news. A list without any meter, as a fault of the platform gives it, says nothing.
    """
    sites = list(sites)
    known_sites = _newest(layout, SITES)
    if not known_sites:
        return []
    known_meters = _newest(layout, METERS)
    news: list[Finding] = []
    for listing in sites:
        if listing.site_id not in known_sites:
            meters = f"{len(listing.meters)} meter{'' if len(listing.meters) == 1 else 's'}"
            news.append(_finding(NEW_SITE, SITES, listing, listing.site_id, f"{listing.name}, with {meters}"))
            continue
        (site,) = _rows(SITES, listing).values()
        if said := _changes(SITES, known_sites[listing.site_id][listing.site_id], site):
            news.append(_finding(CHANGED_SITE, SITES, listing, listing.site_id, f"{listing.name}: {said}"))
        news += _news_of_meters(layout, listing, known_meters.get(listing.site_id))
    keep(layout, news, now)
    return news


def _news_of_meters(layout: Layout, listing: SiteListing, known: Mapping[str, Row] | None) -> Iterator[Finding]:
    listed = _rows(METERS, listing)
    if not listed or known is None:
        return
    added = listed.keys() - known.keys()
    ever = _ever_listed(layout, listing.site_id) if added else set()
    for meter_id in sorted(listed.keys() | known.keys()):
        row = listed.get(meter_id) or known[meter_id]
        what = f"{row['meter_name'] or meter_id} of {listing.name}"
        kind = f"{row['meter_type']}, {row['meter_mode']}"
        if meter_id in added:
            yield _finding(BACK if meter_id in ever else NEW, METERS, listing, meter_id, f"{what} ({kind})")
        elif meter_id not in listed:
            yield _finding(GONE, METERS, listing, meter_id, f"{what} ({kind})")
        elif said := _changes(METERS, known[meter_id], row):
            yield _finding(CHANGED, METERS, listing, meter_id, f"{what}: {said}")


def _finding(code: str, dataset: Dataset, listing: SiteListing, subject_id: str, said: str) -> Finding:
    return Finding(code, dataset.name, listing.site_id, subject_id, 1, (said,))


def _changes(dataset: Dataset, before: Row, now: Row) -> str:
    """What is another value now, such as ``meter mode was consumption, is production``."""
    return "; ".join(
        f"{column.removesuffix('_utc').replace('_', ' ')} was {_said(before[column])}, is {_said(now[column])}"
        for column in dataset.values
        if column not in TOLD_ELSEWHERE and before[column] != now[column]
    )


def _said(value: object) -> str:
    return "not stated" if value is None else f"{value:%Y-%m-%d %H:%M} UTC" if isinstance(value, date) else str(value)


def _rows(dataset: Dataset, listing: SiteListing) -> dict[str, Row]:
    """What a listing says, by site or meter, in the columns of a snapshot."""
    rows = parse_answer(
        dataset,
        listing.answers[dataset.name].payload,
        site_id=listing.site_id,
        timezone=listing.zone.key,
        is_timezone_assumed=listing.is_timezone_assumed,
        fetched_at=listing.listed_at_utc,
    )
    return {row[dataset.subject]: row for row in rows.iter_rows(named=True)}


def _newest(layout: Layout, dataset: Dataset) -> dict[str, dict[str, Row]]:
    """The newest snapshot of each site that lists anything, by site, and then by site or meter."""
    coverage = read_coverage(layout, dataset).filter((pl.col("state") == COMPLETE) & (pl.col("received") > 0))
    listed_on = dict(coverage.group_by("site_id").agg(pl.col("local_date").max()).iter_rows())
    found: dict[str, dict[str, Row]] = {}
    for day in sorted(set(listed_on.values())):
        for row in current_rows(read_day(layout, dataset, day)).iter_rows(named=True):
            if listed_on.get(row["site_id"]) == day:
                found.setdefault(row["site_id"], {})[row[dataset.subject]] = row
    return found


def _ever_listed(layout: Layout, site_id: str) -> set[str]:
    """Every meter that the site was ever listed with."""
    rows = read_days(layout, METERS, days_on_disk(layout, METERS))
    return set(rows.filter(pl.col("site_id") == site_id)["meter_id"])
