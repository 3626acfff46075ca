"""What a check of the data is: one question to the published tables, its answer a sentence, figures and rows.

Here: what all questions share, and the words that their sentences are made of. Not here: the questions.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any

import duckdb

from climkit_pipeline.settings import Settings

MOST_ROWS = 30
"""Of a table that is shown: more is a question for a query."""

NAMES_IN_A_SENTENCE = 4

CLOSED_MONTHS = "(select site_id, billing_month from billing_closings where is_closed)"
"""What a person has settled, for an anti join."""

SETTLED_DOES_NOT_COUNT = " Closed months, accepted failures and excluded days do not count."
"""The end of a description."""


@dataclass(frozen=True)
class CheckSettings:
    """What the questions are asked with."""

    now: datetime
    requests_per_second: float
    wants_site: Callable[[str], bool] = field(default=lambda _: True)

    @classmethod
    def of(cls, settings: Settings, now: datetime) -> CheckSettings:
        """The same from the settings of the environment."""
        return cls(now, settings.requests_per_second, settings.wants_site)


@dataclass(frozen=True)
class Answer:
    """What a check found."""

    passed: bool
    sentence: str
    """One, for a person who has seen nothing else."""
    figures: Mapping[str, float]
    """Always under the same names, so that they can be plotted over time."""
    rows: Sequence[Mapping[str, Any]] = ()
    """The worst or newest first, all with the same columns."""
    could_compute: bool = True

    @property
    def shown(self) -> Sequence[Mapping[str, Any]]:
        """As many rows as a page has room for."""
        return self.rows[:MOST_ROWS]


@dataclass(frozen=True)
class DataCheck:
    """A question about a published table."""

    table: str
    name: str
    description: str
    """What it means when it fails, and what to do."""
    ask: Callable[[duckdb.DuckDBPyConnection, CheckSettings], Answer]

    def answer(self, connection: duckdb.DuckDBPyConnection, settings: CheckSettings) -> Answer:
        """The answer; one that says so where the tables give none."""
        try:
            return self.ask(connection, settings)
        except duckdb.Error as error:
            why = " ".join(str(error).partition("\n\n")[0].split())[:300]
            return Answer(False, f"nothing could be computed: {why}", {}, could_compute=False)


def rows_of(
    connection: duckdb.DuckDBPyConnection, sql: str, parameters: Mapping[str, Any] | None = None
) -> list[dict[str, Any]]:
    """The rows of a query by column name; raises duckdb.Error."""
    result = connection.execute(sql, dict(parameters) if parameters else None)
    names = [column[0] for column in result.description or ()]
    return [dict(zip(names, row, strict=True)) for row in result.fetchall()]


def named(names: Sequence[str]) -> str:
    """The first names, and how many more there are."""
    distinct = list(dict.fromkeys(names))
    rest = len(distinct) - NAMES_IN_A_SENTENCE
    return ", ".join(distinct[:NAMES_IN_A_SENTENCE]) + (f" and {rest} more" if rest > 0 else "")


def many(number: int, what: str) -> str:
    """A number and what it counts: ``1 day``, ``2 days``."""
    return f"{number:,} {what}{'s' * (number != 1)}"


def month_name(month: date) -> str:
    """A month as sentences name it: ``2026-10``."""
    return f"{month:%Y-%m}"
