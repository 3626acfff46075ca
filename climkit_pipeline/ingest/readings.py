"""Readings (``meter_indices``, ``sensor_readings``): instants, not intervals.

A reading belongs to the local day ``(start, end]``; a window begins one day early, so that the reading at its first
midnight, which a month's opening index needs, is there.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from climkit_pipeline.api import calls
from climkit_pipeline.api.answers import RAW_SERIES, SENSOR_SERIES, SeriesForm
from climkit_pipeline.api.calls import Call
from climkit_pipeline.api.series import series_columns
from climkit_pipeline.domain.periods import QUARTER_HOUR, Period
from climkit_pipeline.ingest.exchanges import with_both_readings
from climkit_pipeline.ingest.frames import (
    ParsedAnswer,
    beyond,
    findings_of,
    local_dates_of,
    one_value_per_key,
    rows_frame,
    unreadable_rows,
    values_elsewhere,
    within,
)
from climkit_pipeline.lake.schemas import METER_INDICES, SENSOR_READINGS, Dataset

_FORMS: dict[str, SeriesForm[Any]] = {METER_INDICES.name: RAW_SERIES, SENSOR_READINGS.name: SENSOR_SERIES}


def call_for(dataset: Dataset, site_id: str, subject_id: str, asked: Period) -> Call:
    """The call for a window of one physical meter or one sensor."""
    if dataset is METER_INDICES:
        return calls.meter_data_raw(site_id, subject_id, asked)
    return calls.sensor_data(site_id, subject_id, asked)


def parse_answer(
    dataset: Dataset,
    payload: object,
    *,
    site_id: str,
    subject_id: str,
    asked: Period,
    wanted: Period,
    zone: ZoneInfo,
    fetched_at: datetime,
) -> ParsedAnswer:
    """The readings of ``wanted``, each once.

    Rows beyond the window asked for, doubled, or with values that are no numbers become findings.
    """
    columns = series_columns(payload, asked, _FORMS[dataset.name])
    kept = columns.filter(within(wanted, columns.stamp_utc, includes_end=True))
    findings = findings_of(
        dataset,
        site_id,
        subject_id,
        {
            "outside_window": beyond(asked, columns.stamp_utc, QUARTER_HOUR),
            "not_a_number": kept.stamp_utc.filter(kept.has_no_number),
        },
    )
    frame = rows_frame(
        dataset,
        {
            "site_id": [site_id] * len(kept.stamp_utc),
            dataset.subject: [subject_id] * len(kept.stamp_utc),
            "read_at_utc": kept.stamp_utc,
            **kept.numbers,
        },
        extras=kept.extras,
        local_dates=local_dates_of(kept.stamp_utc, wanted, zone, includes_end=True),
        fetched_at=fetched_at,
    )
    frame, exchanges = with_both_readings(dataset, frame)
    unreadable = unreadable_rows(dataset, site_id, subject_id, columns.unreadable)
    frame, doubled = one_value_per_key(dataset, frame, site_id, subject_id)
    elsewhere = values_elsewhere(dataset, site_id, subject_id, kept)
    return ParsedAnswer(
        frame, None, (*unreadable, *exchanges, *findings, *elsewhere, *doubled), answered=len(columns.stamp_utc)
    )
