"""When a meter is in service, and what it was listed as, against plain Python; the models' own SQL without dbt."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta
from itertools import pairwise

import duckdb
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from rendered_models import rendered_model
from small_lake import days

CALENDAR = days(date(2026, 5, 1), date(2026, 5, 12))
SQL = {name: rendered_model(f"marts/{name}") for name in ("meter_services", "meter_kinds")}

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
        connection.execute("create table int_meters as select 's' as site_id, 'm' as meter_id")
        connection.execute(
            "create table meter_facts (site_id text, meter_id text, valid_from date, in_service_from date,"
            " in_service_until date)"
        )
        connection.execute(
            "create table int_listed_meters_daily (site_id text, meter_id text, local_date date, meter_type text,"
            " meter_mode text, is_rule_meter boolean)"
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
            database.execute("insert into meter_facts values ('s', 'm', ?, ?, ?)", [valid_from, *line])
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
    for day, mode in listed.items():
        database.execute(
            "insert into int_listed_meters_daily values ('s', 'm', ?, 'electricity', ?, false)", [day, mode]
        )
    found = database.execute(f"select first_day, last_day, meter_mode from ({SQL['meter_kinds']})").fetchall()
    for day in CALENDAR:
        known = max((other for other in listed if other <= day), default=min(listed))
        assert [mode for first, last, mode in found if first <= day <= last] == [listed[known]]
