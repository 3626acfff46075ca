"""Validated series (``site_intervals``, ``meter_intervals``): what to send for a window, and rows from answers.

Interval convention: the API stamps a 15T row at the **end** of its period; the lake files it by its start. Whether
the API's window includes its bounds is open, so a call reaches one interval past the days wanted, and exactly the
intervals of those days are kept.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

import polars as pl

from climkit_pipeline.api import calls
from climkit_pipeline.api.answers import METER_SERIES, SITE_SERIES, SeriesForm
from climkit_pipeline.api.calls import Call
from climkit_pipeline.api.series import SeriesColumns, series_columns
from climkit_pipeline.domain.periods import ONE_DAY, QUARTER_HOUR, Period, local_date_of_reading, local_midnight_utc
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
from climkit_pipeline.ingest.steps import step_minutes, steps_of
from climkit_pipeline.lake.coverage import DAILY_MINUTES, QUARTER_HOUR_MINUTES
from climkit_pipeline.lake.schemas import METER_INTERVALS, SITE_INTERVALS, Dataset

_FORMS: dict[str, SeriesForm[Any]] = {METER_INTERVALS.name: METER_SERIES, SITE_INTERVALS.name: SITE_SERIES}


LEAD_IN = timedelta(minutes=90)
"""How much earlier than its first interval a window of quarter-hours begins: the first rows of an answer may hold
nothing, or some meters only. That was seen once, over three quarters of an hour; this is twice as long."""


def asked_period(wanted: Period, lead_in: timedelta = timedelta(0), exists_from: datetime | None = None) -> Period:
    """What to send so that every interval of ``wanted`` comes, whichever bound the API includes.

    It begins by ``lead_in`` earlier, but not before the site existed.
    """
    start = wanted.start_utc - lead_in
    if exists_from is not None:
        start = min(max(start, exists_from), wanted.start_utc)
    return Period(start, wanted.end_utc + QUARTER_HOUR)


def call_for(dataset: Dataset, site_id: str, subject_id: str, asked: Period) -> Call:
    """The call for a window of one meter, or of one meter type of a site."""
    if dataset is SITE_INTERVALS:
        return calls.site_data(site_id, subject_id, asked)
    return calls.meter_data(site_id, subject_id, asked)


def interval_start(stamp: datetime, minutes: int, zone: ZoneInfo) -> datetime:
    """The start of the interval that ends at ``stamp``; a daily one starts at the local midnight before."""
    if minutes == DAILY_MINUTES:
        return local_midnight_utc((stamp - timedelta(minutes=1)).astimezone(zone).date(), zone)
    return stamp - timedelta(minutes=minutes)


@dataclass(frozen=True, slots=True)
class Steps:
    """What is known of how long a series' intervals are, in minutes, before its rows are looked at."""

    certain: int | None = None
    """All of them are so long (electricity)."""
    before: int | None = None
    after: int | None = None
    """The days on either side of the answer have such ones, by earlier answers."""
    around: int | None = None
    """The last of the days in and around the answer has such ones: for rows that cannot tell."""
    stated: Sequence[tuple[date, date, int]] = ()
    """What somebody stated of days, both included: it holds, unless rows stand closer together than that."""

    def stated_on(self, day: date) -> int | None:
        """What somebody stated of a day."""
        return next((minutes for first, last, minutes in self.stated if first <= day <= last), None)


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
    steps: Steps,
) -> ParsedAnswer:
    """The intervals of ``wanted``, each once and as long as its neighbours show.

    Rows beyond the window asked for, off the grid, doubled, or with values that are no numbers become findings; edge
    rows are dropped silently.
    """
    columns = series_columns(payload, asked, _FORMS[dataset.name])
    stamps, subject = columns.stamp_utc, (site_id, subject_id)
    usual, minutes = _minutes(stamps, steps, zone)
    starts = _interval_starts(stamps, minutes, zone)
    lead_in = _frame(dataset, subject, *_some(starts, columns, starts < wanted.start_utc), fetched_at)
    is_kept = within(wanted, starts, includes_end=False)
    minutes = minutes.filter(is_kept)
    starts, kept = _some(starts, columns, is_kept)
    edge = ONE_DAY if usual == DAILY_MINUTES else timedelta(minutes=usual)
    findings = findings_of(
        dataset,
        site_id,
        subject_id,
        {
            "outside_window": beyond(asked, stamps, edge),
            "off_grid": kept.stamp_utc.filter(_are_off_grid(starts, minutes)),
            "not_a_number": kept.stamp_utc.filter(kept.has_no_number),
        },
    )
    frame = _frame(dataset, subject, starts, kept, fetched_at)
    frame = frame.with_columns(local_dates_of(starts, wanted, zone, includes_end=False))
    unreadable = unreadable_rows(dataset, site_id, subject_id, columns.unreadable)
    frame, doubled = one_value_per_key(dataset, frame, site_id, subject_id)
    elsewhere = values_elsewhere(dataset, site_id, subject_id, kept)
    return ParsedAnswer(frame, usual, (*unreadable, *findings, *elsewhere, *doubled), lead_in, len(stamps))


def _some(starts: pl.Series, columns: SeriesColumns, are_these: pl.Series) -> tuple[pl.Series, SeriesColumns]:
    return starts.filter(are_these), columns.filter(are_these)


def _frame(
    dataset: Dataset, subject: tuple[str, str], starts: pl.Series, columns: SeriesColumns, fetched_at: datetime
) -> pl.DataFrame:
    """Rows with the dataset's columns, their local day left open."""
    return rows_frame(
        dataset,
        {
            "site_id": [subject[0]] * len(starts),
            dataset.subject: [subject[1]] * len(starts),
            "interval_start_utc": starts,
            "interval_end_utc": columns.stamp_utc,
            **columns.numbers,
        },
        extras=columns.extras,
        local_dates=pl.repeat(None, len(starts), dtype=pl.Date, eager=True),
        fetched_at=fetched_at,
    )


def _minutes(stamps: pl.Series, steps: Steps, zone: ZoneInfo) -> tuple[int, pl.Series]:
    """The usual step of an answer, and the step of each row."""
    usual, others = steps.certain or QUARTER_HOUR_MINUTES, {}
    if steps.certain is None:
        times = stamps.to_list()
        usual = step_minutes(times, steps.around, zone)
        # Nearly every answer is of one step throughout.
        if not (stamps.sort().diff().drop_nulls() == timedelta(minutes=usual)).all():
            others = steps_of(times, usual, zone, before=steps.before, after=steps.after)
    minutes = pl.repeat(usual, len(stamps), dtype=pl.Int32, eager=True)
    if others:
        minutes = pl.Series([others.get(stamp, usual) for stamp in stamps], dtype=pl.Int32)
    return usual, _as_stated(stamps, minutes, steps, zone) if steps.stated else minutes


def _as_stated(stamps: pl.Series, minutes: pl.Series, steps: Steps, zone: ZoneInfo) -> pl.Series:
    """The steps where somebody stated them, unless the row before stands closer: intervals do not overlap."""
    ordered = stamps.unique().sort().to_list()
    since = {later: later - earlier for earlier, later in pairwise(ordered)}
    stated = []
    for stamp, found in zip(stamps, minutes, strict=True):
        own = steps.stated_on(local_date_of_reading(stamp, zone)) or found
        shortest = timedelta(hours=23) if own == DAILY_MINUTES else timedelta(minutes=own)
        stated.append(found if stamp in since and since[stamp] < shortest else own)
    return pl.Series(stated, dtype=pl.Int32)


def _interval_starts(stamps: pl.Series, minutes: pl.Series, zone: ZoneInfo) -> pl.Series:
    starts = stamps - (minutes.cast(pl.Int64) * 60_000_000).cast(pl.Duration("us"))
    if (minutes == DAILY_MINUTES).any():
        each = zip(stamps, starts, minutes, strict=True)
        own = [interval_start(at, step, zone) if step == DAILY_MINUTES else start for at, start, step in each]
        return pl.Series(own, dtype=stamps.dtype)
    return starts


def _are_off_grid(starts: pl.Series, minutes: pl.Series) -> pl.Series:
    grid_us = minutes.clip(upper_bound=60).cast(pl.Int64) * 60_000_000
    return starts.dt.epoch("us") % (3600 * 1_000_000) % grid_us != 0
