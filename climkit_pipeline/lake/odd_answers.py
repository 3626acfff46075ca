"""What was odd in answers, as a sentence each: the journal of findings, for people.

Here: the sentences. Not here: who finds what (``ingest``), and what becomes of a month because of it (the models).
"""

from __future__ import annotations

from datetime import datetime, timedelta

import polars as pl

from climkit_pipeline.lake import journals
from climkit_pipeline.lake.layout import Layout
from climkit_pipeline.lake.schemas import FINDINGS

SENTENCES = {
    "unreadable_row": "rows that bear no readable instant were left out; their intervals are missing until they come",
    "outside_window": "rows that nobody had asked for were left out",
    "off_grid": "intervals that begin at odd times",
    "not_a_number": "values that are no numbers are kept aside, and count as none",
    "value_elsewhere": "rows without a value hold numbers under a name that is not known, which count as none",
    "duplicate_rows": "a row came twice, and counts once",
    "conflicting_rows": "a row came twice with two values, the last of which counts",
    "two_readings_of_exchange": "two readings of one instant: the old device's last and the new one's first, both kept",
    "window_edge": "values depend on where a window began; what is stored stays",
    "begins_later": "the API refuses what begins earlier; the days before are filed as empty, refetch asks them again",
    "cut_at_front": "answers hold the newest rows of a window alone; shorter windows are asked for",
    "site_answer_differs": "a site's answer states a meter otherwise than the meter's own: each is asked for by itself",
    "month_differs": "a month is stated otherwise than before, or than its intervals add up to: it is asked for again",
    "created_earlier": "there are data from before the site's creation date, which counts for nothing",
    "site_vanished": "the account no longer lists the site",
    "site_returned": "the account lists the site again",
    "site_zone_differs": "the site states another time zone than its days are filed in",
}
"""By the code of a finding."""


def odd_answers(layout: Layout, since: datetime) -> pl.DataFrame:
    """One row per kind of finding, dataset and site since an instant: how often, when last, and what it means."""
    rows = journals.read_since(layout, FINDINGS, since)
    meaning = pl.col("code").replace_strict(SENTENCES, default=None, return_dtype=pl.String)
    return (
        rows.sort("found_at_utc")
        .group_by("code", "dataset", "site_id", maintain_order=True)
        .agg(
            subjects=pl.col("subject_id").n_unique(),
            occurrences=pl.col("occurrences").sum(),
            last_found=pl.col("found_at_utc").max().dt.strftime("%Y-%m-%d %H:%M"),
            example=pl.col("samples").last().list.first(),
        )
        .with_columns(meaning=meaning.fill_null(pl.col("code")))
    )


RECENT = timedelta(days=30)
"""How far back ``climkit status`` looks."""
