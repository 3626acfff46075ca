"""What commits did to the lake, in figures."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date

import polars as pl

from climkit_pipeline.ingest.parsing import FoundIn
from climkit_pipeline.lake.day_files import count_keys
from climkit_pipeline.lake.schemas import Dataset


@dataclass
class CommitReport:
    """What a commit did."""

    answers: int = 0
    rows: int = 0
    """Rows of the answers, as far as they belong to the days wanted."""
    rows_new: int = 0
    """Intervals and readings that were not known before."""
    rows_revised: int = 0
    """Values that another replaced, or that were withdrawn."""
    days_written: set[tuple[str, date]] = field(default_factory=set)
    findings: list[FoundIn] = field(default_factory=list)

    def count_changes(self, dataset: Dataset, before: pl.DataFrame, after: pl.DataFrame) -> None:
        """Count what changed in the versions of some days."""
        self.rows_new += count_keys(dataset, after) - count_keys(dataset, before)
        closed_after, closed_before = (versions["superseded_at_utc"].count() for versions in (after, before))
        self.rows_revised += closed_after - closed_before

    def add(self, other: CommitReport) -> None:
        """Count another commit in."""
        self.answers += other.answers
        self.rows += other.rows
        self.rows_new += other.rows_new
        self.rows_revised += other.rows_revised
        self.days_written |= other.days_written
        self.findings += other.findings
