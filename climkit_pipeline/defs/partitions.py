"""Daily partitions: a partition is a site's own local day; its key comes into being in CLIMKIT_TIMEZONE."""

from __future__ import annotations

import dagster as dg

from climkit_pipeline.settings import Settings


def daily_partitions(settings: Settings) -> dg.DailyPartitionsDefinition:
    """One partition per local day from the start date to yesterday."""
    return dg.DailyPartitionsDefinition(start_date=settings.start_date.isoformat(), timezone=settings.timezone)
