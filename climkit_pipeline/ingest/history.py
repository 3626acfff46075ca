"""Which months of an account's past still lack something, told from the lake alone."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime

from climkit_pipeline.ingest.known import known_listings
from climkit_pipeline.ingest.planner import Window, months_newest_first
from climkit_pipeline.ingest.planning import is_complete
from climkit_pipeline.ingest.reports import IngestRequest
from climkit_pipeline.lake.layout import Layout
from climkit_pipeline.settings import Settings


def unfinished_months(layout: Layout, settings: Settings, last_day: date) -> Iterator[Window]:
    """The months from ``last_day`` back to the start date of which something has to be asked for, newest first.

    Of an account that nothing is known of yet, all of them.
    """
    known = known_listings(layout)
    sites = [listing for listing in known or () if settings.wants_site(listing.site_id)]
    for month in months_newest_first(settings.start_date, last_day):
        request = IngestRequest(month.first_day, month.last_day)
        if not is_complete(layout, request, sites, lambda _: settings.window_days, datetime.now(UTC)):
            yield month
