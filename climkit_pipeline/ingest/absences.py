"""Sites that left the account's listing, and those that came back: each said once.

A site that is no longer listed keeps its history and costs no further call; its last snapshot and the journal of
findings tell what was known and what was said.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import date, datetime

import polars as pl

from climkit_pipeline.ingest.frames import Finding
from climkit_pipeline.ingest.news import keep
from climkit_pipeline.lake import journals
from climkit_pipeline.lake.coverage import FAILED
from climkit_pipeline.lake.day_files import current_rows, read_coverage, read_day
from climkit_pipeline.lake.layout import Layout
from climkit_pipeline.lake.schemas import FINDINGS, SITES

VANISHED = "site_vanished"
RETURNED = "site_returned"


def news_of_sites(layout: Layout, listed: Collection[str], now: datetime) -> list[Finding]:
    """Findings for sites that the lake knows and the account no longer lists, or lists again; keeps them.

    Nothing is found twice: a site that has been reported as gone is not until it was listed in between.
    """
    seen = read_coverage(layout, SITES).filter(pl.col("state") != FAILED)
    last_listed = dict(seen.group_by("site_id").agg(pl.col("last_asked_at_utc").max()).iter_rows())
    newest_day = dict(seen.group_by("site_id").agg(pl.col("local_date").max()).iter_rows())
    reported = _reported_gone(layout, last_listed)
    news = []
    for site_id, at in sorted(last_listed.items()):
        if (site_id in listed) == (site_id in reported):
            code = RETURNED if site_id in listed else VANISHED
            said = f"{_name(layout, site_id, newest_day[site_id])}, last listed {at:%Y-%m-%d}"
            news.append(Finding(code, SITES.name, site_id, site_id, 1, (said,)))
    keep(layout, news, now)
    return news


def _name(layout: Layout, site_id: str, day: date) -> str:
    """What people called it on a day on which it was listed."""
    names = current_rows(read_day(layout, SITES, day)).filter(pl.col("site_id") == site_id)["site_name"]
    return str(next(iter(names.drop_nulls()), site_id))


def _reported_gone(layout: Layout, last_listed: dict[str, datetime]) -> set[str]:
    """Sites whose leaving has been said since they were last listed, and whose return has not."""
    if not last_listed:
        return set()
    said: dict[str, str] = {}
    for day in journals.days_since(layout, FINDINGS, min(last_listed.values())):
        rows = journals.read_day(layout, FINDINGS, day).filter(pl.col("code").is_in([VANISHED, RETURNED]))
        for row in rows.sort("found_at_utc").iter_rows(named=True):
            if row["found_at_utc"] > last_listed.get(row["site_id"], row["found_at_utc"]):
                said[row["site_id"]] = row["code"]
    return {site_id for site_id, code in said.items() if code == VANISHED}
