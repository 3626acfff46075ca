"""What calls were made for: the ledger by purpose, for people."""

from __future__ import annotations

from datetime import datetime

import polars as pl

from climkit_pipeline.lake import journals
from climkit_pipeline.lake.layout import Layout
from climkit_pipeline.lake.schemas import API_CALLS

LISTING = "log-in and lists"


def calls_by_purpose(layout: Layout, since: datetime, seconds_per_call: float) -> pl.DataFrame:
    """One row per purpose since an instant: ``purpose``, ``calls`` (attempts) and ``hours`` that the rate makes them.

    Most calls first. What calls were for is not known of calls that older releases made.
    """
    rows = journals.read_since(layout, API_CALLS, since)
    has_window = pl.col("window_start_utc").is_not_null()
    purpose = pl.coalesce("purpose", pl.when(has_window).then(pl.lit("not noted")).otherwise(pl.lit(LISTING)))
    counted = rows.group_by(purpose.alias("purpose")).agg(calls=pl.len())
    return counted.with_columns(hours=(pl.col("calls") * seconds_per_call / 3600).round(2)).sort(
        "calls", "purpose", descending=[True, False]
    )
