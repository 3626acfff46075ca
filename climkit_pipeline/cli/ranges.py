"""Ranges of local dates as people type them, checked before anything starts."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

from climkit_pipeline.domain.periods import written_date
from climkit_pipeline.errors import ConfigurationError
from climkit_pipeline.settings import Settings


def yesterday(settings: Settings, now: datetime | None = None) -> date:
    """The last whole local day in CLIMKIT_TIMEZONE."""
    return (now or datetime.now(UTC)).astimezone(settings.zone).date() - timedelta(days=1)


def parse_date(text: str) -> date:
    """A date as YYYY-MM-DD or DD.MM.YYYY. Raises ConfigurationError for anything else."""
    try:
        return written_date(text)
    except ValueError as error:
        raise ConfigurationError(f"{text!r} is not a date; accepted: YYYY-MM-DD or DD.MM.YYYY") from error


def parse_month(text: str) -> date:
    """The first day of a month written YYYY-MM or MM.YYYY. Raises ConfigurationError for anything else."""
    try:
        return written_date(f"{text}-01" if "-" in text else f"1.{text}")
    except ValueError as error:
        raise ConfigurationError(f"{text!r} is not a month; accepted: YYYY-MM or MM.YYYY") from error


def check_range(settings: Settings, first_text: str, last_text: str, now: datetime | None = None) -> tuple[date, date]:
    """The range FROM..TO, both included. Raises ConfigurationError with what is allowed."""
    first, last, latest = parse_date(first_text), parse_date(last_text), yesterday(settings, now)
    allowed = f"allowed: {settings.start_date} (CLIMKIT_START_DATE) to {latest} (yesterday in {settings.timezone})"
    if first > last:
        raise ConfigurationError(f"FROM {first} is after TO {last}: give the earlier date first")
    if first < settings.start_date:
        raise ConfigurationError(f"FROM {first} is too early; {allowed}")
    if last > latest:
        raise ConfigurationError(f"TO {last} has not ended yet; {allowed}")
    return first, last


def billing_period(month: str | None, first: str | None, last: str | None) -> date | tuple[date, date]:
    """A month (its first day), or the first and last local day. Raises ConfigurationError unless it is one of them."""
    if month is not None and first is None and last is None:
        return parse_month(month)
    if month is None and first is not None and last is not None:
        first_day, last_day = parse_date(first), parse_date(last)
        if first_day > last_day:
            raise ConfigurationError(f"--from {first_day} is after --to {last_day}: give the earlier date first")
        return first_day, last_day
    raise ConfigurationError("name the period: MONTH (YYYY-MM), or --from DATE and --to DATE")
