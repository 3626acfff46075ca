"""Sites that state another zone than the one in which their days are filed.

The days stay where they are, and new ones are filed as before: in another zone, midnight is another instant, and rows
would lie on days that they do not belong to. So bills go on as they were, and somebody is told.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from climkit_pipeline.ingest.frames import Finding
from climkit_pipeline.ingest.listings import SiteListing
from climkit_pipeline.ingest.news import keep
from climkit_pipeline.lake.layout import Layout
from climkit_pipeline.lake.schemas import SITES

OTHER_ZONE = "site_zone_differs"


def news_of_zones(layout: Layout, sites: Iterable[SiteListing], now: datetime) -> list[Finding]:
    """A finding per site whose zone is not the one that it was listed with first; keeps them."""
    news = [
        Finding(OTHER_ZONE, SITES.name, site.site_id, site.site_id, 1, (_what_to_do(site),))
        for site in sites
        if site.stated_zone.key != site.zone.key
    ]
    keep(layout, news, now)
    return news


def _what_to_do(site: SiteListing) -> str:
    anew = f"CLIMKIT_SITES={site.site_id} and another CLIMKIT_DATA_DIR, and `climkit backfill`, file it anew"
    if site.is_timezone_assumed:
        return (
            f"its days are filed in {site.zone.key}, it states no zone, and CLIMKIT_TIMEZONE is {site.stated_zone.key} "
            f"now; its months stay those of {site.zone.key}. Set the variable back; or, if the first zone was wrong, "
            f"{anew}"
        )
    return (
        f"its days are filed in {site.zone.key}, and it states {site.stated_zone.key} now; its months stay those of "
        f"{site.zone.key}. Ask Climkit which is right; if the first was wrong, {anew}"
    )
