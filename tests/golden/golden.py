"""Whether two versions of the models publish the same: every table, view and table macro, row by row.

    python tests/golden/golden.py export DATA_DIR OUT
    python tests/golden/golden.py compare BEFORE_OUT AFTER_OUT [--ignore TABLE.COLUMN …] [--only TABLE …]

``export`` writes what the published warehouse of DATA_DIR holds into the folder OUT, one sorted Parquet file per table
or view; ``compare`` tells what differs between two such folders, and exits with 1 if anything does. To see what a
change of the SQL models changes: build copies of one lake, its config and its closed months with the code before and
the code after (``climkit refresh``, each in its own data directory), export both, and compare.

Beside tables and views these are exported:

- ``billing_between`` of whole months, of months from the 15th to the 14th, of years, of single days, and of a range
  that reaches beyond what was asked for; ``billing_as_of`` before, between and after the closings;
  ``meter_intervals_as_of`` at two instants: one file each, the arguments in the first columns;
- ``_columns``, ``_relations`` and ``_macros``: names, types, order and comments.

Values are compared exactly, lists and structures as text. Rows are matched by the first columns of ``KEY_COLUMNS``
that tell a table's rows apart on both sides; where none do, whole rows are compared. ``--ignore`` leaves out a column
(``_columns.comment``; ``*.flow_source`` in all tables) or, without a column, a table. What must differ by nature (when
it was published, and by which versions) is never exported: ``BY_NATURE``.

It reads published files only, with duckdb alone: nothing of the package, so that it runs with any version's.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from collections.abc import Collection, Iterator, Sequence
from datetime import date, datetime, timedelta
from pathlib import Path

import duckdb

BY_NATURE = {
    "about": "key not in ('published_at_utc', 'pipeline_version', 'dbt_version', 'duckdb_version')",
}
"""Table -> which of its rows are exported."""

KEY_COLUMNS = (
    "table_name", "column_name", "macro_name", "key", "range_first", "range_last", "known_at",
    "run_id", "sequence", "found_at_utc", "code", "dataset", "check_name",
    "site_id", "meter_id", "subject_id", "sensor_id",
    "period_from", "local_date", "billing_month", "zone", "interval_start_utc", "read_at_utc",
    "valid_from", "in_service_from", "billing_point", "meter_type", "meter_role",
    "version", "quantity", "register", "segment",
    "first_day", "last_day", "action", "decided_by", "reason", "kind",
    "fetched_at_utc", "superseded_at_utc", "revised_at_utc",
)  # fmt: skip
"""What tells rows apart, coarse first."""

PLAIN_TYPES = (
    "VARCHAR", "BOOLEAN", "TINYINT", "SMALLINT", "INTEGER", "BIGINT", "DOUBLE", "DATE", "DECIMAL", "TIMESTAMP",
)  # fmt: skip
"""Types that Parquet holds as they are; all others are written as text."""

BEYOND = timedelta(days=40)
MOST_INSTANTS = 6
MOST_MONTHS = 13
"""A call takes a second or two, whatever the range."""
EXAMPLES = 5
WIDEST_VALUE = 160

CATALOG = {
    "_relations": """
        select table_name, 'table' as kind, comment from duckdb_tables() where not internal and schema_name = 'main'
        union all
        select view_name, 'view', comment from duckdb_views() where not internal and schema_name = 'main'""",
    "_columns": """
        select table_name, column_name, column_index, data_type, comment
        from duckdb_columns() where not internal and schema_name = 'main'""",
    "_macros": """
        select function_name as macro_name, parameters, comment
        from duckdb_functions() where not internal and schema_name = 'main' and function_type = 'table_macro'""",
}


# --- export ----------------------------------------------------------------------------------------------------------


def export(warehouse: Path, out: Path) -> None:
    """Write everything that a published warehouse tells, one file per table, view and macro."""
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    with duckdb.connect(str(warehouse), read_only=True) as connection:
        connection.execute("set timezone = 'UTC'")
        for name, sql in CATALOG.items():
            _write(connection, f"from ({sql})", out / f"{name}.parquet")
        for (name,) in connection.execute(f"select table_name from ({CATALOG['_relations']}) order by 1").fetchall():
            rows = f'from "{name}" where {BY_NATURE.get(name, "true")}'
            _write(connection, rows, out / f"{name}.parquet")
        for name, calls in macro_calls(connection).items():
            # One call after the other: planning all of them in one statement takes minutes.
            connection.execute(f"create or replace temp table called as {calls[0]}")
            for call in calls[1:]:
                connection.execute(f"insert into called {call}")
            _write(connection, "from called", out / f"{name}().parquet")


def macro_calls(connection: duckdb.DuckDBPyConnection) -> dict[str, list[str]]:
    """Macro -> a query per call, the arguments in columns before those of the result."""
    known = {name for (name,) in connection.execute(f"select macro_name from ({CATALOG['_macros']})").fetchall()}
    calls = {
        "billing_between": [
            f"select date '{first}' as range_first, date '{last}' as range_last, * "
            f"from billing_between(date '{first}', date '{last}')"
            for first, last in ranges(connection)
        ],
        **{
            macro: [
                f"select timestamptz '{at.isoformat()}' as known_at, * from {macro}(timestamptz '{at.isoformat()}')"
                for at in instants
            ]
            for macro, instants in (
                ("billing_as_of", closing_instants(connection)),
                ("meter_intervals_as_of", value_instants(connection)),
            )
        },
    }
    return {macro: queries for macro, queries in calls.items() if macro in known and queries}


def ranges(connection: duckdb.DuckDBPyConnection) -> list[tuple[date, date]]:
    """Local days from and to, of every kind of period that somebody may ask for."""
    told = dict(connection.execute("select key, value from about where key in ('first_day', 'last_day')").fetchall())
    if None in (told.get("first_day"), told.get("last_day")):
        return []
    first, last = (date.fromisoformat(told[key]) for key in ("first_day", "last_day"))
    months = [
        month
        for (month,) in connection.execute(
            "select distinct date_trunc('month', local_date)::date from coverage_days order by 1"
        ).fetchall()
    ]
    found = []
    for month in months[-MOST_MONTHS:]:
        following = (month + timedelta(days=31)).replace(day=1)
        found.append((month, following - timedelta(days=1)))
        if month in months[:2] + months[-3:]:
            found.append((month.replace(day=15), following.replace(day=14)))
    found += [(date(year, 1, 1), date(year, 12, 31)) for year in sorted({month.year for month in months})]
    found += [(day, day) for day in (first, months[-1].replace(day=9), last)]
    found.append((first - BEYOND, last + BEYOND))
    return sorted(set(found))


def closing_instants(connection: duckdb.DuckDBPyConnection) -> list[datetime]:
    """Before the first closing, at each of them (a few, spread evenly), between, and after the last."""
    at = _as_of(connection)
    rows = connection.execute("select distinct closed_at_utc from billing_closings order by 1").fetchall()
    acts = [closed_at for (closed_at,) in rows]
    if not acts:
        return [instant for instant in (at and at - timedelta(days=17), at) if instant]
    chosen = [acts[len(acts) * number // MOST_INSTANTS] for number in range(MOST_INSTANTS)]
    (first_data,) = connection.execute("select min(lake_as_of_utc) from billing_closings").fetchone() or (None,)
    moment = timedelta(seconds=1)
    early = [first_data - moment] if first_data else []
    return sorted({*early, acts[0] - moment, *chosen, acts[-1] - moment, acts[-1], acts[-1] + timedelta(days=30)})


def value_instants(connection: duckdb.DuckDBPyConnection) -> list[datetime]:
    """Now, and the moment before values were last revised."""
    at = _as_of(connection)
    row = connection.execute("select max(superseded_at_utc) from meter_intervals_superseded").fetchone()
    revised = row[0] if row and row[0] else at and at - timedelta(days=17)
    return [instant for instant in (revised and revised - timedelta(microseconds=1), at) if instant]


def _as_of(connection: duckdb.DuckDBPyConnection) -> datetime | None:
    row = connection.execute("select max(value::timestamptz) from about where key = 'as_of_utc'").fetchone()
    return row[0] if row else None


def _write(connection: duckdb.DuckDBPyConnection, sql: str, path: Path) -> None:
    """The rows of a query, sorted, in types that Parquet holds as they are."""
    columns = connection.execute(f"describe {sql}").fetchall()
    texts = [f'"{name}"::varchar as "{name}"' for name, kind, *_ in columns if not _is_plain(kind)]
    replaced = f"replace ({', '.join(texts)})" if texts else ""
    target = str(path).replace("'", "''")
    connection.execute(f"copy (select * {replaced} from ({sql}) order by all) to '{target}' (format parquet)")


def _is_plain(kind: str) -> bool:
    return kind.startswith(PLAIN_TYPES) and not kind.endswith("]")


# --- compare ---------------------------------------------------------------------------------------------------------


def compare(before: Path, after: Path, *, ignored: Collection[str] = (), only: Collection[str] = ()) -> Iterator[str]:
    """A line, or a few, for everything that differs between two exports."""
    names = [{path.stem for path in folder.glob("*.parquet")} for folder in (before, after)]
    if not all(names):
        raise SystemExit(f"nothing was exported to {before if not names[0] else after}")
    wanted = {name for name in names[0] | names[1] if name not in ignored and (not only or name in only)}
    yield from (f"{name}: missing" for name in sorted((names[0] - names[1]) & wanted))
    yield from (f"{name}: new" for name in sorted((names[1] - names[0]) & wanted))
    with duckdb.connect() as connection:
        connection.execute("set timezone = 'UTC'")
        for name in sorted(names[0] & names[1] & wanted):
            for view, folder in (("b", before), ("a", after)):
                target = str(folder / f"{name}.parquet").replace("'", "''")
                connection.execute(f"create or replace temp view {view} as from read_parquet('{target}')")
            left_out = {entry.split(".", 1)[1] for entry in ignored if entry.split(".", 1)[0] in {name, "*"}}
            yield from (f"{name}: {difference}" for difference in differences(connection, left_out))


def differences(connection: duckdb.DuckDBPyConnection, left_out: Collection[str] = ()) -> Iterator[str]:
    """What differs between the views ``b`` (before) and ``a`` (after)."""
    types: list[dict[str, str]] = [
        {name: kind for name, kind, *_ in connection.execute(f"describe {view}").fetchall()} for view in ("b", "a")
    ]
    columns = [name for name in types[0] if name in types[1] and name not in left_out]
    for word, those, others in (("missing", types[0], types[1]), ("new", types[1], types[0])):
        yield from (f"column {name} is {word}" for name in those if name not in others and name not in left_out)
    yield from (
        f"column {name} is {types[1][name]}, was {types[0][name]}"
        for name in columns
        if types[0][name] != types[1][name]
    )
    key = key_of(connection, columns)
    if not key:
        yield from _whole_rows(connection, columns)
        return
    on = " and ".join(f'b."{name}" is not distinct from a."{name}"' for name in key)
    for word, there, here in (("missing", "b", "a"), ("new", "a", "b")):
        shown = ", ".join(f'"{name}"' for name in key)
        yield from _few(
            connection, f"select {shown} from {there} anti join {here} on {on} order by all", f"rows {word}"
        )
    values = [name for name in columns if name not in key]
    tests = {name: _is_other(name, types[0][name] == types[1][name]) for name in values}
    if not tests:
        return
    counts = ", ".join(f"count(*) filter ({test})" for test in tests.values())
    numbers = connection.execute(f"select {counts} from b join a on {on}").fetchone() or ()
    for name, number in zip(values, numbers, strict=True):
        if number:
            shown = ", ".join(f'b."{part}"' for part in key)
            sql = f'select {shown}, b."{name}", a."{name}" from b join a on {on} where {tests[name]} order by all'
            yield _told(f"column {name}: {number} rows differ", key, connection.execute(sql).fetchmany(EXAMPLES))


def key_of(connection: duckdb.DuckDBPyConnection, columns: Sequence[str]) -> list[str]:
    """The first of the known key columns that tell all rows of both sides apart; none if nothing does."""
    key: list[str] = []
    for name in (name for name in KEY_COLUMNS if name in columns):
        key.append(name)
        shown = ", ".join(f'"{part}"' for part in key)
        repeated = " union all ".join(f"(select 1 from {view} group by {shown} having count(*) > 1)" for view in "ba")
        if connection.execute(f"{repeated} limit 1").fetchone() is None:
            return key
    return []


def _is_other(name: str, is_same_type: bool) -> str:
    if is_same_type:
        return f'b."{name}" is distinct from a."{name}"'
    return f'b."{name}"::varchar is distinct from a."{name}"::varchar'


def _whole_rows(connection: duckdb.DuckDBPyConnection, columns: Sequence[str]) -> Iterator[str]:
    shown = ", ".join(f'"{name}"' for name in columns)
    for word, there, here in (("missing", "b", "a"), ("new", "a", "b")):
        sql = f"(select {shown} from {there} except all select {shown} from {here}) order by all"
        yield from _few(connection, sql, f"whole rows {word}")


def _few(connection: duckdb.DuckDBPyConnection, sql: str, what: str) -> Iterator[str]:
    """How many rows a query has, with some of them; nothing if there are none."""
    result = connection.execute(sql)
    names = [column[0] for column in result.description]
    rows = result.fetchall()
    if rows:
        lines = (
            ", ".join(f"{name} {value}" for name, value in zip(names, row, strict=True)) for row in rows[:EXAMPLES]
        )
        yield "\n".join([f"{len(rows)} {what}", *(f"    {line}" for line in lines)])


def _told(what: str, key: Sequence[str], rows: Sequence[tuple[object, ...]]) -> str:
    lines = [what]
    for *place, was, now in rows:
        at = ", ".join(str(value) for value in place)
        lines.append(f"    ({at}): {_shortened(was)} -> {_shortened(now)}")
    return "\n".join([f"{lines[0]}, by ({', '.join(key)})", *lines[1:]])


def _shortened(value: object) -> str:
    text = "null" if value is None else str(value)
    return text if len(text) <= WIDEST_VALUE else f"{text[:WIDEST_VALUE]}…"


def main() -> int:
    """Run one of the two commands; 1 if anything differs."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    writing = commands.add_parser("export", help="write what a data directory's published warehouse holds")
    writing.add_argument("data_dir", type=Path)
    writing.add_argument("out", type=Path, help="a folder, emptied first")
    looking = commands.add_parser("compare", help="tell what differs between two exports")
    looking.add_argument("before", type=Path)
    looking.add_argument("after", type=Path)
    looking.add_argument("--ignore", nargs="+", default=[], metavar="TABLE[.COLUMN]", help="'*.COLUMN' for all tables")
    looking.add_argument("--only", nargs="+", default=[], metavar="TABLE", help="default: all")
    options = parser.parse_args()
    if options.command == "export":
        export(options.data_dir / "warehouse.duckdb", options.out)
        return 0
    count = 0
    for difference in compare(options.before, options.after, ignored=options.ignore, only=options.only):
        sys.stdout.write(f"{difference}\n")
        count += 1
    sys.stdout.write(f"{count} differences\n" if count else "no differences\n")
    return int(count > 0)


if __name__ == "__main__":
    sys.exit(main())
