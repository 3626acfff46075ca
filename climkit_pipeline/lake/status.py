"""How much of what was ever asked for is there: coverage summed up per dataset and site."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta

import polars as pl

from climkit_pipeline.lake.coverage import COMPLETE, EMPTY, FAILED, GAP, PENDING
from climkit_pipeline.lake.day_files import read_coverage
from climkit_pipeline.lake.layout import Layout
from climkit_pipeline.lake.schemas import DATASETS

WORST_FIRST = (FAILED, PENDING, GAP, COMPLETE, EMPTY)
"""A day is what its worst subject is; a day with nothing but empty subjects is empty."""


@dataclass(frozen=True, slots=True)
class DatasetStatus:
    """The days of one dataset at one site, each counted under its worst subject's state."""

    dataset: str
    site_id: str
    first_day: date
    last_day: date
    complete: int
    empty: int
    gaps: int
    pending: int
    failed: int
    never_asked: int
    """Days between the site's first and last day in any dataset that this dataset was never asked for."""
    last_asked_at_utc: datetime


def lake_status(layout: Layout) -> list[DatasetStatus]:
    """One entry per site and dataset that was ever asked for, ordered by site, then dataset."""
    frames = {name: read_coverage(layout, dataset) for name, dataset in DATASETS.items()}
    # Snapshots also exist for the day of the listing, readings for the day before a range: neither was asked for.
    asked = pl.concat([frame for name, frame in frames.items() if DATASETS[name].kind == "interval"])
    asked = pl.concat(frames.values()) if asked.is_empty() else asked
    ranges = {
        site_id: (first, last)
        for site_id, first, last in asked.group_by("site_id")
        .agg(pl.col("local_date").min().alias("first"), pl.col("local_date").max().alias("last"))
        .iter_rows()
    }
    status = []
    for name, frame in frames.items():
        for (site_id,), rows in frame.group_by("site_id", maintain_order=True):
            last_asked = rows["last_asked_at_utc"].max()
            assert isinstance(last_asked, datetime)  # noqa: S101 - the group has at least one row
            first_ever, last_ever = ranges.get(str(site_id), (rows["local_date"].min(), rows["local_date"].max()))
            days = (
                rows.filter(pl.col("local_date").is_between(first_ever, last_ever))
                .group_by("local_date")
                .agg(pl.col("state"))
            )
            states = [next(state for state in WORST_FIRST if state in day) for day in days["state"]]
            range_days = {first_ever + timedelta(days=n) for n in range((last_ever - first_ever).days + 1)}
            status.append(
                DatasetStatus(
                    dataset=name,
                    site_id=str(site_id),
                    first_day=first_ever,
                    last_day=last_ever,
                    complete=states.count(COMPLETE),
                    empty=states.count(EMPTY),
                    gaps=states.count(GAP),
                    pending=states.count(PENDING),
                    failed=states.count(FAILED),
                    never_asked=len(range_days - set(days["local_date"])),
                    last_asked_at_utc=last_asked,
                )
            )
    return sorted(status, key=lambda entry: (entry.site_id, list(DATASETS).index(entry.dataset)))
