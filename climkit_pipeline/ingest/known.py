"""What the lake knows of an account, so that a range whose data are complete costs no call.

Here: listings as the newest snapshots tell them. Not here: what of a range is missing (``ingestion``).
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import polars as pl

from climkit_pipeline.api import answers
from climkit_pipeline.ingest.listings import SiteListing
from climkit_pipeline.lake.coverage import FAILED
from climkit_pipeline.lake.day_files import current_rows, read_coverage, read_coverage_day, read_day
from climkit_pipeline.lake.layout import Layout
from climkit_pipeline.lake.schemas import METERS, SENSORS, SITES, Dataset

RECENT = timedelta(days=7)
"""A site that was listed this long before the last listing may only have failed to answer since."""


def known_listings(layout: Layout) -> list[SiteListing] | None:
    """The account's sites as last listed; None if one of them cannot be told from what was asked."""
    listed = (
        read_coverage(layout, SITES)
        .group_by("site_id")
        .agg(pl.col("local_date").filter(pl.col("state") != FAILED).max().alias("listed_on"))
    )
    newest = listed["listed_on"].max()
    if not isinstance(newest, date) or listed["listed_on"].has_nulls():
        return None
    found = []
    for site_id, day in listed.filter(pl.col("listed_on") >= newest - RECENT).sort("site_id").iter_rows():
        sites = _listed(layout, SITES, day, site_id)
        of_site = [_listed(layout, dataset, day, site_id) for dataset in (METERS, SENSORS)]
        if sites is None or sites.is_empty() or any(rows is None for rows in of_site):
            return None
        meters, sensors = (rows.iter_rows(named=True) for rows in of_site if rows is not None)
        found.append(_listing(sites.row(0, named=True), meters, sensors))
    return found


def _listed(layout: Layout, dataset: Dataset, day: date, site_id: str) -> pl.DataFrame | None:
    is_site = pl.col("site_id") == site_id
    coverage = read_coverage_day(layout, dataset, day).filter(is_site & (pl.col("state") != FAILED))
    return None if coverage.is_empty() else current_rows(read_day(layout, dataset, day)).filter(is_site)


def _listing(site: dict[str, Any], meters: Iterable[dict[str, Any]], sensors: Iterable[dict[str, Any]]) -> SiteListing:
    zone = ZoneInfo(site["timezone"])
    return SiteListing(
        site=answers.Site(site["site_id"], name=site["site_name"], created_at_utc=site["created_at_utc"]),
        zone=zone,
        stated_zone=zone,
        is_timezone_assumed=bool(site["is_timezone_assumed"]),
        meters=tuple(
            answers.Meter(
                row["meter_id"],
                row["meter_type"],
                row["meter_mode"],
                name=row["meter_name"],
                is_rule_meter=bool(row["is_rule_meter"]),
            )
            for row in meters
        ),
        sensors=tuple(answers.Sensor(row["sensor_id"], name=row["sensor_name"]) for row in sensors),
        listed_at_utc=site["fetched_at_utc"],
        answers={},
    )
