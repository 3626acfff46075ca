"""Parts add up to their whole after rounding, interval by interval and so over any period."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from fractions import Fraction

import duckdb
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from rendered_models import rendered_model

MILLIONTH = Fraction(1, 10**6)
DAY = datetime(2026, 10, 5, tzinfo=UTC)


@pytest.fixture(scope="module")
def database():
    with duckdb.connect() as connection:
        connection.execute("set timezone = 'UTC'")
        connection.execute(
            "create table meter_intervals (site_id text, meter_id text, local_date date,"
            " interval_start_utc timestamptz, interval_end_utc timestamptz, total double, solar double, grid double)"
        )
        connection.execute(
            "create table int_site_calendar as select 's' as site_id, ?::date as local_date, ? as day_start_utc,"
            " ? as day_end_utc", [date(2026, 10, 5), DAY, DAY + timedelta(days=1)],
        )  # fmt: skip
        yield connection


def rows_of(database: duckdb.DuckDBPyConnection, stated: list[tuple[float, float, float]]) -> list[tuple]:
    database.execute("delete from meter_intervals")
    starts = [DAY + timedelta(minutes=15 * number) for number in range(len(stated))]
    database.executemany(
        "insert into meter_intervals values ('s', 'm', date '2026-10-05', ?, ?, ?, ?, ?)",
        [(start, start + timedelta(minutes=15), *row) for start, row in zip(starts, stated, strict=True)],
    )
    return database.execute(
        f"select total, solar, grid from ({rendered_model('int_interval_rows')}) order by interval_start_utc"
    ).fetchall()


# Sums of hundredths and what is worked out of them, with the noise of binary fractions.
TOTALS = st.integers(0, 500).map(lambda steps: sum([0.01] * steps))
SHARES = st.floats(-0.2, 1)
SPLITS = st.tuples(TOTALS, SHARES).map(lambda drawn: (drawn[0], drawn[0] * drawn[1], drawn[0] - drawn[0] * drawn[1]))


@settings(max_examples=60, deadline=None)
@example([(0.07000000000000006, -1.1102230246251565e-16, 0.07000000000000017)])
@example([(0.01, 0.0033333333333333335, 0.006666666666666667)] * 96)
@example([(0.000001, 0.0000005, 0.0000005)] * 96)
@given(st.lists(SPLITS, min_size=1, max_size=96))
def test_solar_and_grid_are_the_total_and_none_is_off_by_more_than_its_own_rounding(database, stated):
    """A bill of 0.01 kWh stated 0.003333 and 0.006667, and 96 of them were off by as many millionths."""
    rows = rows_of(database, stated)
    for (total, solar, grid), exact in zip(rows, stated, strict=True):
        assert solar + grid == total
        assert all(
            abs(Fraction(found) - Fraction(number)) <= most * MILLIONTH
            for found, number, most in zip((total, solar, grid), exact, (1, 1, 2), strict=True)
        )
        assert solar >= 0 or exact[1] < -4e-7  # noise is no negative value
    assert sum(row[1] for row in rows) + sum(row[2] for row in rows) == sum(row[0] for row in rows)


@pytest.mark.parametrize("beyond", [0.000004, -0.000004, 0.001, -3.0])
def test_what_does_not_add_up_stays_as_it_was_stated(database, beyond):
    ((total, solar, grid),) = rows_of(database, [(1.0, 0.25, 0.75 + beyond)])
    assert float(total - solar - grid) == pytest.approx(-beyond)


@pytest.mark.parametrize("lacking", [(1.0, None, 0.75), (1.0, 0.25, None), (None, 0.25, 0.75)])
def test_a_part_that_is_null_is_worked_out_of_nothing(database, lacking):
    assert rows_of(database, [lacking]) == [lacking]
