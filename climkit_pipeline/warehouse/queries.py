"""Reading the published warehouse: queries, the billing table of a month, grades, and writing results to files.

The warehouse is opened read-only, for the time of one query; a file that is swapped meanwhile is not touched. A query
may read other files (CSV, Parquet) that its user may read: the user is an analyst on the same machine, and joining
one's own lists is half of the work. Ids and dates are bound, never spelled into SQL.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import Any, Literal

import duckdb
import polars as pl

from climkit_pipeline.errors import QueryError, WarehouseError
from climkit_pipeline.files import atomic_file
from climkit_pipeline.warehouse.project import PUBLISHED_SCHEMAS

ResultFormat = Literal["csv", "csv-excel", "csv-excel-point", "json", "parquet"]

MOST_OF_AN_ERROR = 500
"""Characters of an error that are shown: a candidate list of a wide table goes on for lines."""

NO_DATA_YET = "no data yet: nothing has been published to {path}; run a backfill or `climkit refresh` first"


@contextmanager
def open_warehouse(path: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """The published warehouse, read-only, instants shown in UTC; raises WarehouseError if there is none yet."""
    if not path.exists():
        raise WarehouseError(NO_DATA_YET.format(path=path))
    try:
        connection = duckdb.connect(path, read_only=True)
    except duckdb.Error as error:
        raise WarehouseError(f"{path} cannot be opened ({_first_line(error)})") from error
    try:
        connection.execute("set timezone = 'UTC'")
        # The views for people by their bare names, too; a file that an older version published has none.
        if connection.execute("from duckdb_schemas() where schema_name = 'analysis'").fetchall():
            connection.execute(f"set search_path = '{','.join(PUBLISHED_SCHEMAS)}'")
        yield connection
    finally:
        connection.close()


def run_query(path: Path, sql: str, parameters: Sequence[Any] | Mapping[str, Any] = ()) -> pl.DataFrame:
    """The result of a query on the published warehouse.

    Raises QueryError with one line if the SQL is wrong (or would write), WarehouseError if there is no data yet.
    """
    with open_warehouse(path) as connection:
        return frame_of(connection, sql, parameters)


def frame_of(
    connection: duckdb.DuckDBPyConnection, sql: str, parameters: Sequence[Any] | Mapping[str, Any] = ()
) -> pl.DataFrame:
    """The result of a query on an open connection. Raises QueryError with one line if the SQL is wrong."""
    try:
        params = dict(parameters) if isinstance(parameters, Mapping) else list(parameters)
        result = connection.sql(sql, params=params or None)
        frame = None if result is None else pl.DataFrame(result.to_arrow_table())
    except (duckdb.Error, pl.exceptions.PolarsError) as error:
        raise QueryError(_what_is_wrong(error)) from error
    if frame is None:
        raise QueryError("this SQL has no result")
    return frame


def write_result(frame: pl.DataFrame, output_format: ResultFormat, output: Path | None = None) -> str | None:
    """Write a result to ``output``, in one move; without ``output``, return its text (CSV and JSON only).

    CSV joins a list of texts by `` | `` and writes instants as 2026-10-31T23:00:00Z; JSON writes decimals as texts, so
    that they stay exact. ``csv-excel`` is CSV as spreadsheets in French and German open it at a double click: UTF-8
    with a byte order mark, semicolons, a decimal comma; ``csv-excel-point`` the same with a decimal point, as the
    settings of German Switzerland have it.
    """
    if output is None:
        if output_format == "parquet":
            raise QueryError("parquet is no text: name a file to write it to")
        return _json_text(frame) if output_format == "json" else _csv_text(frame, output_format)
    try:
        with atomic_file(output) as temporary:
            if output_format.startswith("csv"):
                temporary.write_bytes(_csv_text(frame, output_format).encode())
            elif output_format == "json":
                temporary.write_text(_json_text(frame), encoding="utf-8")
            else:
                frame.write_parquet(temporary)
    except OSError as error:
        raise WarehouseError(f"{output} cannot be written: {error.strerror or error}") from error
    return None


def whole_month_sums(path: Path) -> pl.DataFrame:
    """What stored intervals add up to, of months of which none is missing.

    Columns: site_id, meter_id, billing_month, intervals_total. Raises WarehouseError without a warehouse.
    """
    return run_query(
        path,
        """
        select site_id, meter_id, billing_month, total::double as intervals_total
        from billing_monthly
        where intervals_present = intervals_expected and intervals_null = 0
        """,
    )


def billing_table(path: Path, month: date) -> pl.DataFrame:
    """``billing_monthly`` of one month, by site and meter."""
    return run_query(
        path,
        "from billing_monthly where billing_month = ? order by site_name, site_id, meter_name, meter_id",
        [month.replace(day=1)],
    )


def billing_table_as_closed(path: Path, month: date) -> pl.DataFrame:
    """The same with the frozen rows of the sites that have closed the month; ``version`` is null for others."""
    first_day = month.replace(day=1)
    return run_query(
        path,
        """
        with
        closed as (
            select * exclude (closed_kind, closed_at_utc, closed_by, valid_from_utc, was_excluded, inputs_hash)
            from billing_closed
            where billing_month = ?
        ),
        closed_sites as (
            select site_id from billing_closings where billing_month = ? and is_closed
        )
        from closed
        union all by name
        select *, null::integer as version
        from billing_monthly
        anti join closed_sites using (site_id)
        where billing_month = ?
        order by site_name, site_id, meter_name, meter_id
        """,
        [first_day] * 3,
    )


def billing_table_between(path: Path, first_day: date, last_day: date) -> pl.DataFrame:
    """``billing_between`` of the local days from ``first_day`` to ``last_day``, both included, by site and meter."""
    known = run_query(path, "select count(*) from duckdb_functions() where function_name = 'billing_between'")
    if known.item() == 0:
        raise WarehouseError("this warehouse has no billing_between: `climkit refresh` builds it")
    return run_query(
        path,
        "from billing_between(?, ?) order by site_name, site_id, meter_name, meter_id",
        [first_day, last_day],
    )


def closings_of(path: Path, month: date) -> pl.DataFrame:
    """The sites that have closed a month: site_id, version, closed_at_utc, closed_by, by site."""
    return run_query(
        path,
        """
        select site_id, version, closed_at_utc, closed_by
        from billing_closings
        where billing_month = ? and is_closed
        order by site_id
        """,
        [month.replace(day=1)],
    )


def grades_by_month(path: Path) -> pl.DataFrame:
    """How many meters have which grade: billing_month, grade, meters, newest month first."""
    return run_query(
        path,
        """
        select billing_month, grade, count(*) as meters
        from billing_monthly
        group by billing_month, grade
        order by billing_month desc, grade
        """,
    )


def column_types(path: Path) -> dict[str, dict[str, str]]:
    """The types of the columns of every published table and view, by table, in DuckDB's words, lower case."""
    found: dict[str, dict[str, str]] = {}
    with open_warehouse(path) as connection:
        rows = connection.execute(
            """
            select table_name, column_name, lower(data_type)
            from duckdb_columns()
            where list_contains(?, schema_name) and database_name = current_database() and not internal
            """,
            [list(PUBLISHED_SCHEMAS)],
        ).fetchall()
    for table, column, kind in rows:
        found.setdefault(table, {})[column] = kind
    return found


def about(path: Path) -> dict[str, str | None]:
    """What the published warehouse was built from."""
    return dict(run_query(path, "select key, value from about order by key").iter_rows())


def _csv_text(frame: pl.DataFrame, output_format: str) -> str:
    ready = _csv_ready(frame)
    if output_format == "csv":
        return ready.write_csv()
    text = ready.write_csv(separator=";", decimal_comma=output_format == "csv-excel", line_terminator="\r\n")
    return "\ufeff" + text


def _csv_ready(frame: pl.DataFrame) -> pl.DataFrame:
    lists = [name for name, kind in frame.schema.items() if isinstance(kind, pl.List)]
    texts = [name for name in lists if frame.schema[name] == pl.List(pl.String)]
    encoded = [pl.col(name).list.join(" | ") for name in texts]
    structures = [
        name for name, kind in frame.schema.items() if name not in texts and isinstance(kind, pl.List | pl.Struct)
    ]
    encoded += as_json(structures)
    instants = [name for name, kind in frame.schema.items() if isinstance(kind, pl.Datetime) and kind.time_zone]
    encoded += [pl.col(name).dt.convert_time_zone("UTC").dt.strftime("%Y-%m-%dT%H:%M:%S%.fZ") for name in instants]
    return frame.with_columns(encoded)


def as_json(names: Sequence[str]) -> list[pl.Expr]:
    """Columns that hold lists or structures, as JSON text."""
    return [pl.struct(name).struct.json_encode().alias(name) for name in names]


def _json_text(frame: pl.DataFrame) -> str:
    return frame.write_json() + "\n"


def _what_is_wrong(error: Exception) -> str:
    """The lines before the excerpt of the SQL, in one: DuckDB names the columns and tables that may be meant there."""
    return " ".join(str(error).strip().partition("\n\n")[0].split())[:MOST_OF_AN_ERROR]


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0].strip()
