"""Which parts of an account's past still lack something, told from the lake alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict
from datetime import UTC, date, datetime

from climkit_pipeline.domain.periods import ONE_DAY
from climkit_pipeline.ingest.known import known_listings
from climkit_pipeline.ingest.planning import is_complete
from climkit_pipeline.ingest.raw_policy import SHORT_WINDOW, Part, parts_of
from climkit_pipeline.ingest.reports import IngestRequest
from climkit_pipeline.lake.layout import Layout
from climkit_pipeline.lake.schemas import DATASETS
from climkit_pipeline.settings import Settings


def unfinished_parts(layout: Layout, settings: Settings, today: date) -> Iterator[Part]:
    """The parts of the past, from yesterday back to the start date, of which something has to be asked for.

    In the order in which they are asked for; of an account that nothing is known of yet, all of them. Older raw
    readings are finished once those around the bounds of months are there: whether more is to be had, only an attempt
    tells.
    """
    known = known_listings(layout)
    sites = [listing for listing in known or () if settings.wants_site(listing.site_id)]
    is_sparing = settings.raw_data == "sparing"
    for part in parts_of(settings.start_date, today - ONE_DAY, tuple(DATASETS), today, is_sparing=is_sparing):
        longest = min(settings.window_days, SHORT_WINDOW - 1) if part.is_raw_sparing else settings.window_days
        request = IngestRequest(**asdict(part))
        if not is_complete(layout, request, sites, _for_every_dataset(longest), datetime.now(UTC)):
            yield part


def _for_every_dataset(days: int) -> Callable[[str], int]:
    return lambda _: days
