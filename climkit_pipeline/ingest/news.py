"""Keeping findings that are about no rows of an answer: what is listed otherwise, and what a run learns of the API."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from climkit_pipeline.ingest.frames import Finding
from climkit_pipeline.ingest.windows import Window
from climkit_pipeline.lake import journals
from climkit_pipeline.lake.layout import Layout
from climkit_pipeline.lake.schemas import FINDINGS


def keep(layout: Layout, findings: Iterable[Finding], now: datetime, window: Window | None = None) -> None:
    """Write findings into the journal; ``window`` has the days that they are about, if they are about some."""
    days = {
        "first_day": window.first_day if window else None,
        "last_day": window.last_day if window else None,
    }
    journals.append(layout, FINDINGS, [finding.as_row(now) | days for finding in findings])
