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
from typing import Any
from zoneinfo import ZoneInfo

import polars as pl

from climkit_pipeline.api import calls
from climkit_pipeline.api.answers import METER_SERIES, SITE_SERIES, SeriesForm
from climkit_pipeline.api.calls import Call
from climkit_pipeline.api.series import series_columns
from climkit_pipeline.domain.periods import ONE_DAY, QUARTER_HOUR, Period, local_midnight_utc
from climkit_pipeline.ingest.frames import (
    ParsedAnswer,
    beyond,
    findings_of,
    local_dates_of,
    one_value_per_key,
    rows_frame,
    within,
)
from climkit_pipeline.lake.coverage import DAILY_MINUTES, QUARTER_HOUR_MINUTES
from climkit_pipeline.lake.schemas import METER_INTERVALS, SITE_INTERVALS, Dataset

STEPS_MINUTES = (QUARTER_HOUR_MINUTES, 60, DAILY_MINUTES)
"""Steps that heat and water series are known to come in; electricity is always 15."""

_FORMS: dict[str, SeriesForm[Any]] = {METER_INTERVALS.name: METER_SERIES, SITE_INTERVALS.name: SITE_SERIES}


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
    columns = series_columns(payload, asked, _FORMS[dataset.name])
    stamps = columns.stamp_utc
    step = minutes or step_minutes(stamps.to_list(), known_minutes, zone)
    starts = _interval_starts(stamps, step, zone)
    is_kept = within(wanted, starts, includes_end=False)
    starts, kept = starts.filter(is_kept), columns.filter(is_kept)
    edge = ONE_DAY if step == DAILY_MINUTES else timedelta(minutes=step)
    findings = findings_of(
        dataset,
        site_id,
        subject_id,
        {
            "outside_window": beyond(asked, stamps, edge),
            "off_grid": kept.stamp_utc.filter(_are_off_grid(starts, step)),
            "not_a_number": kept.stamp_utc.filter(kept.has_no_number),
        },
    )
    frame = rows_frame(
        dataset,
        {
            "site_id": [site_id] * len(starts),
            dataset.subject: [subject_id] * len(starts),
            "interval_start_utc": starts,
            "interval_end_utc": kept.stamp_utc,
            **kept.numbers,
        },
        extras=kept.extras,
        local_dates=local_dates_of(starts, wanted, zone, includes_end=False),
        fetched_at=fetched_at,
    )
    frame, doubled = one_value_per_key(dataset, frame, site_id, subject_id)
    return ParsedAnswer(frame, step, (*findings, *doubled))


def _interval_starts(stamps: pl.Series, step: int, zone: ZoneInfo) -> pl.Series:
    if step == DAILY_MINUTES:
        return pl.Series([interval_start(stamp, step, zone) for stamp in stamps], dtype=stamps.dtype)
    return stamps - timedelta(minutes=step)


def _are_off_grid(starts: pl.Series, step: int) -> pl.Series:
    past_the_hour = starts.dt.epoch("us") % (3600 * 1_000_000)
    return past_the_hour % (min(step, 60) * 60 * 1_000_000) != 0
