"""Readings (``meter_indices``, ``sensor_readings``): instants, not intervals.

A reading belongs to the local day ``(start, end]``; a window begins one day early, so that the reading at its first
midnight, which a month's opening index needs, is there.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from zoneinfo import ZoneInfo

from climkit_pipeline.api import answers, calls
from climkit_pipeline.api.calls import Call
from climkit_pipeline.domain.periods import QUARTER_HOUR, Period, local_date_of_reading
from climkit_pipeline.ingest.frames import (
    ParsedAnswer,
    extra_text,
    findings_of,
    is_near,
    one_value_per_key,
    rows_frame,
    within,
)
from climkit_pipeline.lake.schemas import METER_INDICES, Dataset


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
    records: Sequence[answers.RawReading] | Sequence[answers.SensorReading]
    if dataset is METER_INDICES:
        records = answers.parse_raw_readings(payload, asked)
    else:
        records = answers.parse_sensor_readings(payload, asked)
    kept = [record for record in records if within(wanted, record.stamp_utc, includes_end=True)]
    findings = findings_of(
        dataset,
        site_id,
        subject_id,
        {
            "outside_window": [r.stamp_utc for r in records if not is_near(asked, r.stamp_utc, QUARTER_HOUR)],
            "not_a_number": [record.stamp_utc for record in kept if record.not_numbers],
        },
    )
    frame = rows_frame(
        dataset,
        {
            "site_id": [site_id] * len(kept),
            dataset.subject: [subject_id] * len(kept),
            "read_at_utc": [record.stamp_utc for record in kept],
            **{name: [getattr(record, name) for record in kept] for name in dataset.values},
        },
        extras=[extra_text(record.extra) for record in kept],
        local_dates=[local_date_of_reading(record.stamp_utc, zone) for record in kept],
        fetched_at=fetched_at,
    )
    frame, doubled = one_value_per_key(dataset, frame, site_id, subject_id)
    return ParsedAnswer(frame, None, (*findings, *doubled))
