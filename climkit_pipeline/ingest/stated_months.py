"""What the API states of whole months (frequency M), and what follows: months without data, months that differ.

Here: asking, one call for each meter or for its whole site, and reading the journal ``stated_months``. Not here: when
months are asked for, and what is done about a difference (``audit``).
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from functools import partial
from typing import Any

import polars as pl

from climkit_pipeline.api import calls, wide_columns
from climkit_pipeline.api.answers import MeterInterval, parse_meter_series
from climkit_pipeline.api.client import ClimkitClient
from climkit_pipeline.domain.meters import has_split
from climkit_pipeline.domain.periods import ONE_DAY, Period, local_midnight_utc, next_month
from climkit_pipeline.errors import (
    ApiError,
    ApiUnavailableError,
    AuthenticationError,
    RejectedError,
    UnexpectedPayloadError,
)
from climkit_pipeline.ingest.comparisons import Proofs
from climkit_pipeline.ingest.listings import SiteListing
from climkit_pipeline.ingest.site_groups import types_of
from climkit_pipeline.ingest.windows import Window, months_newest_first
from climkit_pipeline.lake import journals
from climkit_pipeline.lake.day_files import days_on_disk
from climkit_pipeline.lake.first_days import Subject
from climkit_pipeline.lake.layout import Layout
from climkit_pipeline.lake.schemas import STATED_MONTHS

logger = logging.getLogger(__name__)

LEAD_IN = timedelta(hours=1)
"""How much earlier than its first month a window begins: whether its bound is included is open."""
FEWEST_MONTHS = 12
"""A refused window that is longer is halved; a shorter one is given up."""
UNANSWERED_BEFORE_A_SITE_IS_LEFT = 3
"""Its first meters: then it is the question that is not understood, and each more would cost as long a wait."""

Rows = Sequence[Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class StatedMonth:
    """What one answer states of one month of a meter."""

    site_id: str
    meter_id: str
    month: date
    value: MeterInterval | None

    @property
    def total(self) -> float | None:
        """The month's total; None where the answer lacks it."""
        return self.value.total if self.value else None

    def as_row(self, at: datetime) -> dict[str, Any]:
        """The row of the journal; what it is compared with is the caller's to add."""
        value = self.value if self.total is not None else None
        return {
            "stated_at_utc": at,
            "site_id": self.site_id,
            "meter_id": self.meter_id,
            "billing_month": self.month,
            "is_stated": value is not None,
            **{name: getattr(value, name, None) for name in ("total", "solar", "grid")},
            "intervals_total": None,
            "differs_from": None,
        }


def months_of(window: Window) -> list[date]:
    """The first days of the months that begin in a window, oldest first."""
    return sorted(month.first_day for month in months_newest_first(window.first_day, window.last_day)
                  if month.first_day.day == 1)  # fmt: skip


class MonthQuestions:
    """Asks for months of meters; a site that is proven to answer for its meters is asked in their place."""

    def __init__(self, client: ClimkitClient, *, mode: str, purpose: str, on_call: Callable[[], None]) -> None:
        self._client = client
        self._mode = mode
        self._purpose = purpose
        self._on_call = on_call

    def ask(
        self,
        listing: SiteListing,
        meter_ids: Iterable[str],
        window: Window,
        proofs: Proofs,
        refused_until: Mapping[Subject, date] | None = None,
    ) -> list[StatedMonth]:
        """What is stated of every month of a window, by meter; a meter without a readable answer is left out.

        ``refused_until`` has the last day on which the API lets no window of a meter begin: it is asked about later
        months alone.
        """
        refused = refused_until or {}
        wanted = list(dict.fromkeys(meter_ids))
        found: dict[str, list[StatedMonth]] = {}
        for meter_type, of_type in self._answered_by_site(listing, wanted, proofs).items():
            found |= self._by_site(listing, meter_type, of_type, window)
        unanswered, is_understood = 0, any(found.values())
        for meter_id in wanted:
            if meter_id not in found and (is_understood or unanswered < UNANSWERED_BEFORE_A_SITE_IS_LEFT):
                own = _after(refused.get((listing.site_id, meter_id)), window)
                if own is None:
                    continue
                call = partial(calls.meter_data, listing.site_id, meter_id, frequency="M")
                months = _months(listing, meter_id, own, self._asked(listing, own, call))
                unanswered, is_understood = unanswered + (not months), is_understood or bool(months)
                found[meter_id] = months
        return [each for meter_id in wanted for each in found.get(meter_id, ())]

    def expected_calls(self, listing: SiteListing, meter_ids: Collection[str], proofs: Proofs) -> int:
        """How many calls that takes, if a site that is proven answers for its meters."""
        by_site = self._answered_by_site(listing, meter_ids, proofs)
        return len(by_site) + len(meter_ids) - sum(map(len, by_site.values()))

    def _answered_by_site(
        self, listing: SiteListing, meter_ids: Collection[str], proofs: Proofs
    ) -> dict[str, list[str]]:
        """Meters that one call about their site stands for, by type."""
        by_type: dict[str, list[str]] = {}
        for meter_id, meter_type in types_of(listing).items():
            is_proven = self._mode == "auto" and proofs.has_any(listing.site_id, meter_type)
            if meter_id in meter_ids and (self._mode == "always" or is_proven):
                by_type.setdefault(meter_type, []).append(meter_id)
        return {meter_type: of_type for meter_type, of_type in by_type.items() if len(of_type) > 1}

    def _by_site(
        self, listing: SiteListing, meter_type: str, meter_ids: Iterable[str], window: Window
    ) -> dict[str, list[StatedMonth]]:
        call = partial(calls.site_data, listing.site_id, meter_type, frequency="M")
        rows = self._asked(listing, window, call)
        modes = {meter.meter_id: meter.meter_mode for meter in listing.meters}
        found = {}
        for meter_id in meter_ids:
            own = wide_columns.meter_rows(rows, meter_id, has_split=has_split(meter_type, modes[meter_id]))
            months = _months(listing, meter_id, window, own)
            if months:
                found[meter_id] = months
        return found

    def _asked(self, listing: SiteListing, window: Window, call: Callable[[Period], calls.Call]) -> Rows | None:
        """The rows of a window, asked for in halves where it is refused; None if it is not answered."""
        start, end = (local_midnight_utc(day, listing.zone) for day in (window.first_day, next_month(window.last_day)))
        try:
            self._on_call()
            answer = self._client.perform(replace(call(Period(start - LEAD_IN, end)), purpose=self._purpose))
            if not isinstance(answer.payload, list):
                raise UnexpectedPayloadError("months: expected a list")
            return answer.payload
        except AuthenticationError:
            raise
        except RejectedError as error:
            months = months_of(window)
            if len(months) <= FEWEST_MONTHS:
                logger.warning("months of %s: %s", listing.name, error)
                return None
            middle = months[len(months) // 2]
            halves = (window.first_day, middle - timedelta(days=1)), (middle, window.last_day)
            parts = [self._asked(listing, Window(*half), call) for half in halves]
            return None if None in parts else [row for part in parts for row in part or ()]
        except ApiError as error:
            if isinstance(error, ApiUnavailableError) and not error.was_reached:
                raise
            logger.warning("months of %s: %s", listing.name, error)
            return None


def _after(refused_until: date | None, window: Window) -> Window | None:
    """The months of a window whose question may begin, lead-in included; None if there are none."""
    if refused_until is None or refused_until < window.first_day - ONE_DAY:
        return window
    first = next_month(refused_until + ONE_DAY)
    return Window(first, window.last_day) if first <= window.last_day else None


def _months(listing: SiteListing, meter_id: str, window: Window, rows: Rows | None) -> list[StatedMonth]:
    """Every month of a window, with what rows state of it; none if there are no rows that can be read.

    A row that begins elsewhere than a month is no month.
    """
    if rows is None:
        return []
    stated: dict[date, MeterInterval] = {}
    try:
        for value in parse_meter_series(list(rows)):
            local = value.stamp_utc.astimezone(listing.zone)
            if local.day == 1 and (local.hour, local.minute) == (0, 0):
                stated[local.date()] = value
    except UnexpectedPayloadError as error:
        logger.warning("months of %s: %s", listing.name, error)
        return []
    return [StatedMonth(listing.site_id, meter_id, month, stated.get(month)) for month in months_of(window)]


def read_stated_months(layout: Layout) -> pl.DataFrame:
    """The newest row of each site, meter and month."""
    rows = journals.read_days(layout, STATED_MONTHS, days_on_disk(layout, STATED_MONTHS))
    key = ["site_id", "meter_id", "billing_month"]
    return rows.sort("stated_at_utc").unique(key, keep="last", maintain_order=True)


def first_months_with_data(stated: pl.DataFrame) -> dict[tuple[str, str], date]:
    """The first month with a total by site and meter, where an earlier month was asked for and had none.

    ``stated`` is what ``read_stated_months`` gives. Where the first month asked for has a total, what came before it is
    not known: an audit may begin later than a history does.
    """
    month = pl.col("billing_month")
    firsts = stated.group_by("site_id", "meter_id").agg(month.filter("is_stated").min(), asked_from=month.min())
    known = firsts.filter(month > pl.col("asked_from"))
    return {(site_id, meter_id): first for site_id, meter_id, first, _ in known.iter_rows()}
