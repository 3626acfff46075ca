"""What calls are made for: the words of the ledger, of ``--plan`` and of the table of costs."""

from __future__ import annotations

from climkit_pipeline.ingest.reports import IngestRequest
from climkit_pipeline.ingest.windows import Window
from climkit_pipeline.lake.schemas import METER_INDICES, Dataset

DAILY = "daily"
"""The newest days, every morning, with those of the look-back that fit into the same call."""
LOOK_BACK = "look-back"
"""Days that are asked for again: older ones in the morning, months about to be billed, ``--refetch``."""
HISTORY = "history"
"""Days of the past that are missing."""
RAW = "raw"
"""Readings of registers."""
COMPARISON = "comparison"
"""Windows of meters that are asked for both ways."""
AUDIT = "audit"
"""Totals of months, against those that are stored."""
PURPOSES = (DAILY, LOOK_BACK, HISTORY, RAW, COMPARISON, AUDIT)


def purpose_of(request: IngestRequest, dataset: Dataset, window: Window) -> str:
    """What a window of a request is asked for."""
    if request.purpose is not None:
        return request.purpose
    if dataset is METER_INDICES:
        return RAW
    if request.is_urgent:
        return DAILY if window.last_day == request.last_day else LOOK_BACK
    return LOOK_BACK if request.refetch else HISTORY
