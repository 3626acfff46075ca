"""When a meter is in service, and what it was listed as, against plain Python; by the models' own SQL."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise

import duckdb
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from rendered_models import make_tables, rendered_model
from small_lake import days

CALENDAR = days(date(2026, 5, 1), date(2026, 5, 12))
SQL = {name: rendered_model(name) for name in ("meter_services", "meter_kinds")}

Line = tuple[date | None, date | None]
"""in_service_from and in_service_until."""

DATED = st.sampled_from(CALENDAR)
LINES = st.lists(
    st.one_of(
        st.tuples(DATED, st.none()),
        st.tuples(st.none(), DATED),
        st.tuples(DATED, DATED).map(lambda pair: (min(pair), max(pair))),
    ),
    max_size=4,
)


@pytest.fixture(scope="module")
def database() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as connection:
        connection.execute(f"create table meter_types as {rendered_model('known_meter_types')}")
        connection.execute("create table int_meters as select 's' as site_id, 'm' as meter_id")
        connection.execute(
            "create table meter_facts (site_id text, meter_id text, valid_from date, valid_until date,"
            " in_service_from date, in_service_until date, meter_mode text)"
        )
        connection.execute(
            "create table int_listed_meters_daily (site_id text, meter_id text, local_date date, meter_type text,"
            " meter_mode text, is_rule_meter boolean)"
        )
        connection.execute(
            "create table int_stated_splits_daily (site_id text, meter_id text, intervals_with_split int,"
            " intervals_with_value int)"
        )
        yield connection


def is_in_service(day: date, lines: list[Line]) -> bool:
    """Unless the last date before is an end, or none, and the next one a beginning, or none."""
    bounds = sorted(
        (bound, number, is_end)
        for number, line in enumerate(lines)
        for is_end, bound in enumerate(line)
        if bound is not None
    )
    before = [is_end for bound, _, is_end in bounds if bound < day + timedelta(days=1 - is_end)]
    after = [is_end for bound, _, is_end in bounds if bound >= day + timedelta(days=1 - is_end)]
    return not bounds or before[-1:] == [0] or after[:1] == [1]


def test_a_day_is_in_service_between_a_beginning_and_an_end_and_counts_once(database):
    """Days on which one stretch ends and another begins were two rows, and their energy counted twice."""

    @settings(max_examples=150, deadline=None)
    @example([(CALENDAR[0], CALENDAR[4]), (CALENDAR[4], None)])  # taken out and put back on one day
    @example([(None, CALENDAR[4]), (CALENDAR[5], CALENDAR[5]), (CALENDAR[8], None)])
    @example([(None, CALENDAR[4]), (CALENDAR[5], CALENDAR[5]), (CALENDAR[6], None)])  # day after day
    @example([(CALENDAR[1], None), (CALENDAR[3], None), (None, CALENDAR[5]), (None, CALENDAR[7])])
    @given(LINES)
    def law(lines):
        database.execute("delete from meter_facts")
        for number, line in enumerate(lines):
            valid_from = date(1900, 1, 1) + timedelta(days=number)
            database.execute(
                "insert into meter_facts (site_id, meter_id, valid_from, in_service_from, in_service_until)"
                " values ('s', 'm', ?, ?, ?)",
                [valid_from, *line],
            )
        found = database.execute(f"select first_day, last_day from ({SQL['meter_services']})").fetchall()
        counts = [sum(first <= day <= last for first, last in found) for day in CALENDAR]
        assert counts == [int(is_in_service(day, lines)) for day in CALENDAR]
        # Of two stretches that touch, the days at which they do would be due only to and from their values.
        assert all(later[0] > earlier[1] + timedelta(days=1) for earlier, later in pairwise(sorted(found)))

    law()


MODES = ("consumption", "production", "introduction")


@settings(max_examples=50, deadline=None)
@given(st.dictionaries(DATED, st.sampled_from(MODES), min_size=1))
def test_a_meter_is_what_it_was_listed_as_last_and_before_its_first_list_what_that_says(database, listed):
    database.execute("delete from int_listed_meters_daily")
    database.execute("delete from meter_facts")
    for day, mode in listed.items():
        database.execute(
            "insert into int_listed_meters_daily values ('s', 'm', ?, 'electricity', ?, false)", [day, mode]
        )
    found = database.execute(f"select first_day, last_day, meter_mode from ({SQL['meter_kinds']})").fetchall()
    for day in CALENDAR:
        known = max((other for other in listed if other <= day), default=min(listed))
        assert [mode for first, last, mode in found if first <= day <= last] == [listed[known]]


JANUARY, FEBRUARY, MARCH = (date(2026, month, 1) for month in (1, 2, 3))
AT_ONCE, LATER = datetime(2026, 1, 10, 6, tzinfo=UTC), datetime(2026, 3, 20, 6, tzinfo=UTC)
TENTH = timedelta(days=9)


def months_of(listed: list[tuple], values: list[tuple]) -> dict[str, dict[date, tuple[bool, bool, int]]]:
    """By meter and month whether it is listed, whether it is there, and its usual interval.

    The account was asked from January to March; the list of meters was read in January and March.
    """
    with duckdb.connect() as connection:
        connection.execute("set timezone = 'UTC'")
        connection.execute("""
            create table int_listed_meters_daily (meter_id text, local_date date, fetched_at_utc timestamptz,
                site_id text default 'z');
            create table meter_days (meter_id text, local_date date, intervals_present integer,
                interval_minutes integer, site_id text default 'z', billing_month date,
                coverage_state text default 'complete');
            create table coverage_days as
            select 'meters' as dataset, 'z' as site_id, 'complete' as state, unnest([date '2026-01-10', '2026-03-10'])
                as local_date;
            create table sites as select 'z' as site_id, 'UTC' as zone, date '2020-01-01' as created_on;
            create table calendar_days as
            select 'UTC' as zone, day::date as local_date, date_trunc('month', day)::date as billing_month,
                day::timestamptz as day_start_utc, day::timestamptz + interval 1 day as day_end_utc
            from generate_series(timestamp '2026-01-01', timestamp '2026-03-31', interval 1 day) as days (day);
            create table calendar_months as
            select zone, billing_month, min(day_start_utc) as period_start_utc, max(day_end_utc) as period_end_utc
            from calendar_days group by all;
            create table billing_settings as select timestamptz '2026-04-20 00:00+00' as as_of_utc;
        """)
        connection.executemany(
            "insert into int_listed_meters_daily (meter_id, local_date, fetched_at_utc) values (?, ?, ?)", listed
        )
        connection.executemany(
            "insert into meter_days (meter_id, local_date, intervals_present, interval_minutes) values (?, ?, ?, ?)",
            values,
        )
        connection.execute("update meter_days set billing_month = date_trunc('month', local_date)")
        connection.execute("""
            create table int_meters as
            select distinct 'z' as site_id, meter_id, 'UTC' as zone from (
                select meter_id from meter_days union select meter_id from int_listed_meters_daily
            );
            create table meters as select site_id, meter_id, true as is_listed from int_meters;
        """)
        given = {"int_listed_meters_daily", "meter_days", "coverage_days", "sites", "calendar_days", "calendar_months",
                 "billing_settings", "int_meters", "meters"}  # fmt: skip
        make_tables(connection, "meter_months", given=given)
        rows = connection.execute(
            "select meter_id, billing_month, is_listed, is_there, usual_interval_minutes from meter_months"
        ).fetchall()
    found: dict[str, dict[date, tuple[bool, bool, int]]] = {}
    for meter, month, *rest in rows:
        found.setdefault(meter, {})[month] = tuple(rest)
    return found


def test_a_meter_is_there_from_its_first_value_or_the_first_list_of_its_time():
    """A list that was read later is put on past days too, and says nothing of then; of a month of which nobody read a
    list, all meters count that were there before and after; a meter without any value may have failed. What delivers in
    a month is there, whichever of its days the list is from.
    """
    in_january, in_march = JANUARY + TENTH, MARCH + TENTH
    found = months_of(
        listed=[
            ("backfilled", in_january, LATER), ("backfilled", in_march, LATER),
            ("listed_then", in_january, AT_ONCE), ("listed_then", in_march, LATER),
            ("silent", in_january, LATER),
            ("came_after_the_list", in_march, LATER),
        ],
        values=[
            ("backfilled", in_january, 0, 15), ("backfilled", in_march, 24, 60),
            ("backfilled", date(2026, 3, 11), 0, 15),
            ("listed_then", in_january, 0, 15), ("listed_then", in_march, 24, 60),
            ("silent", in_january, 0, 15),
            ("came_after_the_list", date(2026, 1, 11), 24, 60),
        ],
    )  # fmt: skip
    assert found == {
        "backfilled": {JANUARY: (True, False, 60), FEBRUARY: (False, False, 60), MARCH: (True, True, 60)},
        "listed_then": {JANUARY: (True, True, 60), FEBRUARY: (False, True, 60), MARCH: (True, True, 60)},
        "silent": {JANUARY: (True, True, 15)},
        "came_after_the_list": {JANUARY: (False, True, 60), FEBRUARY: (False, True, 60), MARCH: (True, True, 60)},
    }
