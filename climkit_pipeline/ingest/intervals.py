"""Validated series (``site_intervals``, ``meter_intervals``): what to send for a window, and rows from answers.

Interval convention: the API stamps a 15T row at the **end** of its period; the lake files it by its start. Whether
the API's window includes its bounds is open, so a call reaches one interval past the days wanted, and exactly the
intervals of those days are kept.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import datetime, time, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

from climkit_pipeline.api import answers, calls
from climkit_pipeline.api.calls import Call
from climkit_pipeline.domain.periods import ONE_DAY, QUARTER_HOUR, Period, local_date_of_interval, local_midnight_utc
from climkit_pipeline.ingest.frames import (
    ParsedAnswer,
    extra_text,
    findings_of,
    is_near,
    one_value_per_key,
    rows_frame,
    within,
)
from climkit_pipeline.lake.coverage import DAILY_MINUTES, QUARTER_HOUR_MINUTES
from climkit_pipeline.lake.schemas import METER_INTERVALS, SITE_INTERVALS, Dataset

STEPS_MINUTES = (QUARTER_HOUR_MINUTES, 60, DAILY_MINUTES)
"""Steps that heat and water series are known to come in; electricity is always 15."""


def asked_period(wanted: Period) -> Period:
    """What to send so that every interval of ``wanted`` comes, whichever bound the API includes."""
    return Period(wanted.start_utc, wanted.end_utc + QUARTER_HOUR)


def call_for(dataset: Dataset, site_id: str, subject_id: str, asked: Period) -> Call:
    """The call for a window of one meter, or of one meter type of a site."""
    if dataset is SITE_INTERVALS:
        return calls.site_data(site_id, subject_id, asked)
    return calls.meter_data(site_id, subject_id, asked)


def step_minutes(stamps: Sequence[datetime], known: int | None = None, zone: ZoneInfo | None = None) -> int:
    """The step of a series in minutes: the most common distance of its stamps, else ``known``, else 15.

    Stamps that are all midnights in ``zone`` are daily ones: several always, a lone one if no step is known. A step
    longer than the known one needs a whole day of it: rows that are hours apart may also be what an outage left.
    """
    ordered = sorted(set(stamps))
    is_telling = len(ordered) > 1 or (ordered and known is None)
    if zone and is_telling and all(stamp.astimezone(zone).time() == time.min for stamp in ordered):
        return DAILY_MINUTES
    distances = Counter(later - earlier for earlier, later in pairwise(ordered))
    if distances:
        commonest, times = distances.most_common(1)[0]
        found = next((minutes for minutes in STEPS_MINUTES if commonest == timedelta(minutes=minutes)), None)
        if timedelta(hours=23) <= commonest <= timedelta(hours=25):
            found = DAILY_MINUTES
        if found and (known is None or found <= known or (times + 1) * found >= DAILY_MINUTES):
            return found
    return known or QUARTER_HOUR_MINUTES


def interval_start(stamp: datetime, minutes: int, zone: ZoneInfo) -> datetime:
    """The start of the interval that ends at ``stamp``; a daily one starts at the local midnight before."""
    if minutes == DAILY_MINUTES:
        return local_midnight_utc((stamp - timedelta(minutes=1)).astimezone(zone).date(), zone)
    return stamp - timedelta(minutes=minutes)


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
    minutes: int | None,
    known_minutes: int | None = None,
) -> ParsedAnswer:
    """The intervals of ``wanted``, each once; ``minutes`` is the step if certain, ``known_minutes`` what it was.

    Rows beyond the window asked for, off the grid, doubled, or with values that are no numbers become findings; edge
    rows are dropped silently.
    """
    records: Sequence[answers.MeterInterval] | Sequence[answers.SiteInterval]
    if dataset is METER_INTERVALS:
        records = answers.parse_meter_series(payload, asked)
    else:
        records = answers.parse_site_series(payload, asked)
    step = minutes or step_minutes([record.stamp_utc for record in records], known_minutes, zone)
    rows = [(interval_start(record.stamp_utc, step, zone), record) for record in records]
    kept = [(start, record) for start, record in rows if within(wanted, start, includes_end=False)]
    edge = ONE_DAY if step == DAILY_MINUTES else timedelta(minutes=step)
    findings = findings_of(
        dataset,
        site_id,
        subject_id,
        {
            "outside_window": [r.stamp_utc for _, r in rows if not is_near(asked, r.stamp_utc, edge)],
            "off_grid": [r.stamp_utc for s, r in kept if (s.minute % min(step, 60) or s.second or s.microsecond)],
            "not_a_number": [r.stamp_utc for _, r in kept if r.not_numbers],
        },
    )
    frame = rows_frame(
        dataset,
        {
            "site_id": [site_id] * len(kept),
            dataset.subject: [subject_id] * len(kept),
            "interval_start_utc": [start for start, _ in kept],
            "interval_end_utc": [record.stamp_utc for _, record in kept],
            **{
                name: [getattr(record, name) for _, record in kept]
                for name in dataset.values
                if name != "interval_end_utc"
            },
        },
        extras=[extra_text(record.extra) for _, record in kept],
        local_dates=[local_date_of_interval(start, zone) for start, _ in kept],
        fetched_at=fetched_at,
    )
    frame, doubled = one_value_per_key(dataset, frame, site_id, subject_id)
    return ParsedAnswer(frame, step, (*findings, *doubled))
