"""Running the SQL models in DuckDB: what is stale is made again, month by month, and tested.

How a model is kept is its kind:

==========  =========================================================================================================
table       replaced when something that it reads changed
by_day      rows of the local days whose files changed are replaced, as many days at once as fit into memory; with
            ``reach_days``, those of as many days before and after, too
by_month    rows of stale local months are replaced, as many months at once as fit into memory
view        made once
==========  =========================================================================================================

A month is stale when one of its days changed, or a day near it (models look at the season around a day), when what
time it is makes a difference to it, when a row of a watched table that it stands on is another, and when the user's
files, the settings or closed months say something else. For a model that ``goes_on`` every month after a stale one is
stale, too: registers count on. Nothing is computed over all intervals at once, so memory does not grow with the years.

Here: what is stale, and the statements. Not here: what changed in the lake (``warehouse.lake_state``), and the order of
a whole refresh (``warehouse.refresh``).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date, timedelta
from itertools import groupby, pairwise

import duckdb

from climkit_pipeline.domain.periods import ONE_DAY, month_start, next_month
from climkit_pipeline.errors import WarehouseError
from climkit_pipeline.lake.schemas import JOURNALS
from climkit_pipeline.warehouse.lake_state import LakeChanges
from climkit_pipeline.warehouse.project import INNER_SCHEMA, PUBLISHED_SCHEMAS, DataTest, Model, Project

SEASON_DAYS = 45
"""How far from a day its neighbours can change what is said of it; the models look no further."""

MEMORY_LIMIT = "4GB"
"""What DuckDB keeps in memory; a month of sixty sites is sorted in less, and what is more goes to the disk."""

UNFINISHED = "unfinished"
"""Stands among the changed inputs from the first model on until all have succeeded."""

WRITING = (
    # Where rows need an order, the model states it; to keep that of the files copies every row twice.
    "set preserve_insertion_order = false",
    # DuckDB tries every method on every column. These are slow to try, and win less than a hundredth of the file.
    "set disabled_compression_methods = 'fsst,patas,chimp,alprd'",
    # Rows wait in the log until the end: each time that they are put in their place, what lies around them is, too.
    "set checkpoint_threshold = '1GB'",
)
"""How rows are written: to copy the intervals costs a third less CPU so (measured in November 2026)."""

DAYS_AT_ONCE_BYTES = 64 * 2**20
"""How much of the lake a model over intervals or readings is given at once: a month of sixty sites of thirty meters."""

MONTHS_AT_ONCE_BYTES = 3 * DAYS_AT_ONCE_BYTES
"""The same of a model over days, which has 96 times fewer rows, but wider ones."""

JOURNAL_NAMES = {journal.name for journal in JOURNALS}
"""Their days are those of events, in UTC."""


@dataclass(frozen=True)
class BuiltModel:
    """A model that was made again."""

    name: str
    seconds: float
    rows: int
    """Rows that were written."""
    parts: int
    """Days or months that were replaced; 1 for a whole table or a view."""


@dataclass(frozen=True)
class TestResult:
    """What a data test found."""

    test: DataTest
    rows: int
    """Rows that should not be there."""
    seconds: float

    @property
    def has_passed(self) -> bool:
        """Whether it found nothing."""
        return self.rows == 0

    def __str__(self) -> str:
        return f"{self.test.name} of {self.test.model} found {self.rows} rows"


@dataclass
class BuildReport:
    """What a build did."""

    models: list[BuiltModel] = field(default_factory=list)
    tests: list[TestResult] = field(default_factory=list)
    problem: str | None = None
    """What stopped it, in one line; None if all is well."""
    is_outdated: bool = False
    """Whether days of all years say something of a meter that is not so any more: all has to be built anew."""

    def check(self) -> None:
        """Raise WarehouseError if a model or a test failed."""
        if self.problem is not None:
            raise WarehouseError(self.problem)


def build(connection: duckdb.DuckDBPyConnection, project: Project, changes: LakeChanges) -> BuildReport:
    """Make again what is stale, and test what was made.

    ``connection`` is to the build file, in which ``lake_state.prepare`` has stated what changed. What fails is in the
    report: models before it are made, so the same build can be repeated.
    """
    report = BuildReport()
    run = _Run(connection, project, changes, report)
    for model in project.models.values():
        try:
            run.make(model)
        except duckdb.Error as error:
            report.problem = f"the model {model.name} failed: {one_line(error)}"
            return report
        if run.is_outdated(model):
            report.is_outdated = True
            return report
    if changes.full_refresh:
        for name, statement in project.functions.items():
            try:
                connection.execute(statement)
            except duckdb.Error as error:
                report.problem = f"the function {name} failed: {one_line(error)}"
                return report
    run.test()
    return report


def one_line(error: Exception) -> str:
    """The message of an error without the excerpt of the SQL."""
    return " ".join(str(error).partition("\n\n")[0].split())[:300]


class _Run:
    """One build: remembers what was made, so that what stands on nothing new is left alone."""

    def __init__(
        self, connection: duckdb.DuckDBPyConnection, project: Project, changes: LakeChanges, report: BuildReport
    ) -> None:
        self._connection = connection
        self._project = project
        self._changes = changes
        self._report = report
        self._is_anew = changes.full_refresh
        # A refresh that was not finished may have replaced what this one would compare with.
        self._is_repeated = UNFINISHED in changes.inputs
        self._days: dict[str, set[date]] = {}
        self._touched: set[str] = set()
        self._inputs: dict[str, frozenset[str]] = {}
        self._watched_months: set[date] = set()
        self._is_all_watched = self._is_repeated
        self._months: list[date] | None = None
        self._made = False
        """Of a build file that is begun anew: whether the table at hand is there."""
        for schema in (INNER_SCHEMA, *PUBLISHED_SCHEMAS):
            connection.execute(f"create schema if not exists {schema}")
        for setting in (f"set memory_limit = '{MEMORY_LIMIT}'", *WRITING):
            connection.execute(setting)
        connection.execute("insert into pipeline.changed_inputs values (?)", [UNFINISHED])

    def make(self, model: Model) -> None:
        """Make one model again, as far as it is stale."""
        self._inputs[model.name] = frozenset(model.sources).union(*(self._inputs.get(ref, ()) for ref in model.refs))
        began = time.monotonic()
        if model.kind == "view":
            self._days[model.name] = set().union(*(self._days.get(ref, ()) for ref in model.refs))
            parts, rows = int(self._is_anew), 0
            if self._is_anew:
                self._connection.execute(f"create or replace view {model.relation} as {model.sql}")
        elif model.kind in {"table", "seed"}:
            parts, rows = self._replace_table(model)
        elif model.kind == "by_day":
            parts, rows = self._replace_days(model)
        else:
            parts, rows = self._replace_months(model)
        if self._is_anew:
            self._complete(model)
        if parts or (model.kind == "view" and self._touched.intersection(model.refs)):
            self._touched.add(model.name)
        if parts:
            self._report.models.append(BuiltModel(model.name, time.monotonic() - began, rows, parts))

    def _complete(self, model: Model) -> None:
        """A table without rows, too; and in the file itself what a published one and its columns are, written once."""
        if model.kind not in {"view", "table", "seed"} and not self._made:
            self._connection.execute(f"create or replace table {model.relation} as from ({model.sql}) limit 0")
        self._made = False
        if not model.is_published:
            return
        kind = "view" if model.kind == "view" else "table"
        comments = [f"comment on {kind} {model.relation} is {_quoted(model.description)}"]
        comments += [
            f'comment on column {model.relation}."{name}" is {_quoted(text)}' for name, text in model.columns.items()
        ]
        # Each by itself would be a transaction that waits for the disk.
        with _transaction(self._connection):
            self._connection.execute(";".join(comments))

    def _replace_table(self, model: Model) -> tuple[int, int]:
        is_touched = self._touched.intersection(model.refs) or self._changes.inputs.intersection(model.sources)
        if not (self._is_anew or self._is_repeated or is_touched):
            return 0, 0
        watched = model.options.get("watch")
        if watched and not self._is_anew:
            self._connection.execute(f"create or replace temp table known as select {watched} from {model.relation}")
        rows = self._replace(model, "true")
        if watched and not self._is_anew:
            self._watch(model, watched)
        return 1, rows

    def _watch(self, model: Model, watched: str) -> None:
        """What stands on a row that was known, and is another now, or gone, is stale; so is the month of a new row."""
        now = f"select {watched} from {model.relation}"
        self._connection.execute(f"create or replace temp table lost as from known except {now}")
        columns = [row[0] for row in self._connection.execute("describe lost").fetchall()]
        if "billing_month" in columns:
            other = self._connection.execute(
                f"select distinct billing_month from (from lost union all ({now} except from known))"
            ).fetchall()
            self._watched_months |= {row[0] for row in other if row[0] is not None}
        elif self._connection.execute("from lost limit 1").fetchall():
            self._is_all_watched = True

    def is_outdated(self, model: Model) -> bool:
        """Whether rows of days repeat what this model said of a meter before, and says no more."""
        if self._is_anew or not model.options.get("repeated_by_days"):
            return False
        return bool(
            self._connection.execute(f"from pipeline.known_meters except from {model.relation} limit 1").fetchall()
        )

    def _replace_days(self, model: Model) -> tuple[int, int]:
        stale = set().union(*(self._changes.files.get(source, ()) for source in model.sources))
        stale = stale.union(*(self._days.get(ref, ()) for ref in model.refs))
        # What a model says of a day may depend on the days around it.
        reach = range(-model.options.get("reach_days", 0), model.options.get("reach_days", 0) + 1)
        stale = {day + timedelta(days=apart) for day in stale for apart in reach}
        self._days[model.name] = stale
        column = "utc_date" if set(model.sources) & JOURNAL_NAMES else "local_date"
        rows = 0
        for days in self._at_once(stale, DAYS_AT_ONCE_BYTES):
            self._set_bounds(days[0], days[-1])
            rows += self._replace(model, _is_among(column, days, lambda day: day + ONE_DAY))
        return len(stale), rows

    def _replace_months(self, model: Model) -> tuple[int, int]:
        stale = self._stale_months(model)
        column = model.options.get("month_column") or (
            "billing_month" if "billing_month" in model.columns else "period_from"
        )
        rows = 0
        for months in self._at_once(stale, MONTHS_AT_ONCE_BYTES):
            first_day, last_day = months[0], next_month(months[-1]) - ONE_DAY
            where = _is_among(column, months, next_month)
            if column == "local_date":
                # A meter may have been installed before the first day that was ever asked for.
                first_day = date.min if months[0] == (self._months or months)[0] else first_day
                where = f"{column} between date '{first_day}' and date '{last_day}'"
            self._set_bounds(first_day, last_day)
            rows += self._replace(model, where)
        return len(stale), rows

    def _at_once(self, days: Iterable[date], most_bytes: int) -> Iterator[list[date]]:
        """Whole months of ``days``, in pieces of which the lake holds about ``most_bytes``."""
        months = max(1, int(most_bytes / (31 * max(1, self._changes.bytes_per_day))))
        by_month = [list(of_month) for _, of_month in groupby(sorted(days), key=month_start)]
        for first in range(0, len(by_month), months):
            yield [day for of_month in by_month[first : first + months] for day in of_month]

    def _set_bounds(self, first_day: date, last_day: date) -> None:
        """What models read that have to say themselves which days they are about."""
        self._connection.execute(f"set variable built_from = date '{first_day}'")
        self._connection.execute(f"set variable built_until = date '{last_day}'")

    def _stale_months(self, model: Model) -> list[date]:
        if self._months is None:
            found = self._connection.execute(
                "select distinct billing_month from main.calendar_months order by billing_month"
            ).fetchall()
            self._months = [row[0] for row in found]
        is_all = self._is_anew or self._is_all_watched or self._changes.inputs.intersection(self._inputs[model.name])
        if is_all:
            return self._months
        stale = self._watched_months | _months_around(self._changes.series_days)
        if self._changes.as_of_before is not None:
            # What time it is makes a difference until a month can be ready.
            began = month_start(
                self._changes.as_of_before - timedelta(days=SEASON_DAYS + self._changes.close_after_days)
            )
            stale |= {month for month in self._months if month >= began}
        if model.options.get("goes_on"):
            return [month for month in self._months if stale and month >= min(stale)]
        return [month for month in self._months if month in stale]

    def _replace(self, model: Model, where: str) -> int:
        """Rows of the model that ``where`` names: the old ones go, the new ones come, in one transaction."""
        order = f" order by {model.options['order_by']}" if "order_by" in model.options else ""
        rows_to_write = f"select * from ({model.sql}) where {where}{order}"
        with _transaction(self._connection):
            if self._is_anew and not self._made:
                statement = f"create or replace table {model.relation} as {rows_to_write}"
            else:
                statement = f"insert into {model.relation} {rows_to_write}"
                if not self._is_anew:
                    self._connection.execute(f"delete from {model.relation} where {where}")
            [(rows,)] = self._connection.execute(statement).fetchall()
        self._made = True
        return int(rows)

    def test(self) -> None:
        """Every data test of what was made; one that says something about days, of the days that changed alone."""
        for test in self._project.tests:
            if test.model not in self._touched:
                continue
            began = time.monotonic()
            try:
                [(rows,)] = self._connection.execute(f"select count(*) from ({test.sql})").fetchall()
            except duckdb.Error as error:
                self._report.problem = f"the test {test.name} of {test.model} cannot run: {one_line(error)}"
                return
            self._report.tests.append(TestResult(test, rows, time.monotonic() - began))
        failed = [str(result) for result in self._report.tests if not (result.has_passed or result.test.is_warning)]
        if failed:
            self._report.problem = f"data tests failed: {'; '.join(failed)}"


def _is_among(column: str, days: Sequence[date], following: Callable[[date], date]) -> str:
    """A condition for these days (or first days of months): a span, by which DuckDB leaves out whole files.

    They are named one by one only where one is missing, since DuckDB joins the rows with what is named.
    """
    span = f"{column} between date '{days[0]}' and date '{days[-1]}'"
    if all(following(earlier) == later for earlier, later in pairwise(days)):
        return span
    names = ", ".join(f"date '{day}'" for day in days)
    return f"{span} and {column} in ({names})"


def _months_around(days: Iterable[date]) -> set[date]:
    """The months in whose days, or in the season around them, one of ``days`` is."""
    found = set()
    for day in days:
        month = month_start(day - timedelta(days=SEASON_DAYS))
        while month <= day + timedelta(days=SEASON_DAYS):
            found.add(month)
            month = next_month(month)
    return found


@contextmanager
def _transaction(connection: duckdb.DuckDBPyConnection) -> Iterator[None]:
    connection.execute("begin")
    try:
        yield
    except BaseException:
        connection.execute("rollback")
        raise
    connection.execute("commit")


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
