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
from climkit_pipeline.lake.schemas import DATASETS, METERS, SENSORS, SITES, Dataset

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
    recent = listed.filter(pl.col("listed_on") >= newest - RECENT).sort("site_id")
    snapshots = {
        (dataset, day): _by_site(layout, DATASETS[dataset], day)
        for dataset in (SITES.name, METERS.name, SENSORS.name)
        for day in set(recent["listed_on"])
    }
    found = []
    for site_id, day in recent.iter_rows():
        site, meters, sensors = (
            snapshots[dataset, day].get(site_id) for dataset in (SITES.name, METERS.name, SENSORS.name)
        )
        if not site or meters is None or sensors is None:
            return None
        found.append(_listing(site[0], meters, sensors))
    return found


def _by_site(layout: Layout, dataset: Dataset, day: date) -> dict[str, list[dict[str, Any]]]:
    """What a day's snapshot lists of each site whose listing came; nothing of some is an empty list."""
    came = read_coverage_day(layout, dataset, day).filter(pl.col("state") != FAILED)["site_id"]
    listed: dict[str, list[dict[str, Any]]] = {site_id: [] for site_id in came}
    for row in current_rows(read_day(layout, dataset, day)).iter_rows(named=True):
        if row["site_id"] in listed:
            listed[row["site_id"]].append(row)
    return listed


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
