"""Committing: landed answers become versions in day files, and coverage.

Here: which answers are committed together, and the order of things. Not here: what an answer holds (``parsing``), how
the days of series (``series_commit``) and of listings (``listing_commit``) change.

Order per dataset and day: data (if a row changed), then coverage; then the journals; what landed is deleted when all
is written. Repeating a commit changes nothing, so a process may die anywhere in between.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from climkit_pipeline.files import file_lock
from climkit_pipeline.ingest.commit_report import CommitReport
from climkit_pipeline.ingest.landing import Landed, LandingFolder
from climkit_pipeline.ingest.listing_commit import commit_listings
from climkit_pipeline.ingest.series_commit import commit_series
from climkit_pipeline.lake import journals
from climkit_pipeline.lake.layout import Layout
from climkit_pipeline.lake.schemas import API_CALLS, DATASETS, FINDINGS

logger = logging.getLogger(__name__)

ANSWERS_AT_ONCE = 400
"""Of a folder that somebody left behind; chosen, not measured: a large account has thousands, too many for memory."""


def commit_folder(layout: Layout, folder: LandingFolder) -> CommitReport:
    """Commit everything in ``folder`` and empty it."""
    calls = folder.read_calls()
    report = CommitReport()
    for landed in folder.batches(ANSWERS_AT_ONCE):
        report.add(commit(layout, landed))
    journals.append(layout, API_CALLS, [_call_row(folder.path.name, call) for call in calls])
    folder.clear()
    return report


def _call_row(run_id: str, call: Mapping[str, Any]) -> dict[str, Any]:
    instants = {name: call[name] and datetime.fromisoformat(call[name]) for name in call if name.endswith("_utc")}
    return {"run_id": run_id, **call, **instants}


def commit(layout: Layout, landed: Sequence[Landed]) -> CommitReport:
    """Commit answers to the lake; any order and any repetition gives the same lake."""
    report = CommitReport(answers=len(landed))
    by_dataset: dict[str, list[Landed]] = defaultdict(list)
    for answer in sorted(landed, key=lambda entry: entry.received_at_utc):
        by_dataset[answer.dataset].append(answer)
    for name, dataset in DATASETS.items():
        if by_dataset[name]:
            with file_lock(layout.commit_lock(name)):
                if dataset.kind == "snapshot":
                    commit_listings(layout, dataset, by_dataset[name], report)
                else:
                    commit_series(layout, dataset, by_dataset[name], report)
    journals.append(layout, FINDINGS, [found.as_row() for found in report.findings])
    for found in report.findings:
        logger.warning("%s", found.finding)
    return report
