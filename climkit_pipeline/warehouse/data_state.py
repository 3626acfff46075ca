"""The state of the data as one look at the built tables: answers to all checks, grades, and pictures of both.

Here: what is shown together, and what is worth an alarm. Not here: who shows it (``defs.data_checks``), and the
questions themselves (``warehouse.data_checks``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import duckdb

from climkit_pipeline.domain.periods import local_day, next_month
from climkit_pipeline.errors import WarehouseError
from climkit_pipeline.warehouse.data_checks.freshness import newest_days
from climkit_pipeline.warehouse.data_checks.months import blocked_months, grades
from climkit_pipeline.warehouse.data_checks.question import Answer, CheckSettings, DataCheck
from climkit_pipeline.warehouse.lake_state import open_build_file
from climkit_pipeline.warehouse.pictures import completeness_of_days, completeness_picture, grades_picture
from climkit_pipeline.warehouse.queries import open_warehouse

NOT_AS_EXPECTED = "{} lacks tables or columns that this version asks for; `climkit refresh` rebuilds it"


@dataclass(frozen=True)
class DataState:
    """What was found at the end of a refresh."""

    answers: Sequence[tuple[DataCheck, Answer]] = ()
    grades: Sequence[Mapping[str, Any]] = ()
    """How many meters of a month and site have which grade, newest first."""
    grades_svg: str | None = None
    completeness: float | None = None
    """Of the days in the picture: the share of the due intervals that is there, 0 to 1."""
    completeness_svg: str | None = None
    row_counts: Mapping[str, int] = field(default_factory=dict)
    """Of the tables, by name; views are not counted, that would run them."""


def look_at_build_file(build_file: Path, settings: CheckSettings, checks: Sequence[DataCheck]) -> DataState:
    """The answers to ``checks``, and what the tables show of themselves; the caller holds the warehouse's lock."""
    with open_build_file(build_file) as connection:
        return _look(connection, settings, checks)


def look_at_warehouse(warehouse: Path, settings: CheckSettings, checks: Sequence[DataCheck]) -> DataState:
    """The same of the published tables. Raises WarehouseError if nothing is published yet."""
    with open_warehouse(warehouse) as connection:
        return _look(connection, settings, checks)


def _look(connection: duckdb.DuckDBPyConnection, settings: CheckSettings, checks: Sequence[DataCheck]) -> DataState:
    answers = [(check, check.answer(connection, settings)) for check in checks]
    try:
        by_site = grades(connection)
        days = completeness_of_days(connection, settings.now)
    except duckdb.Error:  # a part of the models, in a file that never held the others: the answers say what is missing
        return DataState(answers)
    shares = [share for of_site in days.values() for _, share in of_site.values() if share is not None]
    return DataState(
        answers,
        by_site,
        grades_picture(by_site),
        round(sum(shares) / len(shares), 6) if shares else None,
        completeness_picture(days),
        _row_counts(connection),
    )


def _row_counts(connection: duckdb.DuckDBPyConnection) -> dict[str, int]:
    tables = connection.execute(
        "select table_name from duckdb_tables() where schema_name = 'main' and database_name = current_database()"
    ).fetchall()
    counts = " union all ".join(f"select '{name}', count(*) from main.\"{name}\"" for (name,) in tables)  # noqa: S608
    return dict(connection.execute(counts).fetchall()) if counts else {}


@dataclass(frozen=True)
class BlockedMonth:
    """A month that should be billed by now, and cannot."""

    month: date
    due: date
    """From which day on it is late."""
    sentence: str


@dataclass(frozen=True)
class SilentSite:
    """A site of which no values come."""

    site_id: str
    site: str
    newest_day: date
    silent_since: datetime


def long_blocked(warehouse: Path, today: date, days_after_month: int) -> list[BlockedMonth]:
    """The open months with blocked meters that ended more than ``days_after_month`` days ago, newest first."""
    with open_warehouse(warehouse) as connection:
        try:
            found = blocked_months(connection)
        except duckdb.Error as error:
            raise WarehouseError(
                f"{warehouse} cannot be asked for its grades: `climkit refresh` rebuilds it"
            ) from error
    months = [(month, next_month(month) + timedelta(days=days_after_month), said) for month, said, _ in found]
    return [BlockedMonth(month, due, said) for month, due, said in months if due <= today]


def silent_sites(warehouse: Path, settings: CheckSettings, longer_than: timedelta) -> list[SilentSite]:
    """The listed sites whose newest day with values ended longer ago than that; those without any are just new."""
    with open_warehouse(warehouse) as connection:
        try:
            rows = newest_days(connection, settings)
        except duckdb.Error as error:
            raise WarehouseError(NOT_AS_EXPECTED.format(warehouse)) from error
    ended = [
        (row, local_day(row["newest_day"], ZoneInfo(row["zone"])).end_utc)
        for row in rows
        if row["newest_day"] is not None
    ]
    return [
        SilentSite(row["site_id"], row["site"], row["newest_day"], end)
        for row, end in ended
        if settings.now - end > longer_than
    ]
