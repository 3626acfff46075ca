"""Billing points by the model's own SQL, over months that no lake of the other tests is long enough for."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal

import duckdb
import pytest
from rendered_models import make_tables
from small_lake import days

FIRST, LAST = date(2026, 1, 1), date(2026, 6, 30)
KWH = Decimal(2)
"""Of each day in service."""

Stretch = tuple[str, date, date, str | None, bool]
"""Meter, first and last day of service, billing point, whether it is billed."""


def points_of(*stretches: Stretch) -> dict[tuple[str, int], tuple]:
    """By point and number of the month: total, billable_total, grade, meters, reasons."""
    with duckdb.connect() as connection:
        connection.execute("""
            create table billing_days (site_id text, meter_id text, billing_month date, local_date date,
                billing_point text, is_billed boolean, is_excluded boolean, has_split boolean, total decimal(18, 6),
                solar decimal(18, 6), grid decimal(18, 6), intervals_due integer, intervals_present integer)
        """)
        for meter, first, last, point, is_billed in stretches:
            connection.executemany(
                "insert into billing_days values ('s', ?, ?, ?, ?, ?, false, false, ?, null, null, 96, 96)",
                [(meter, day.replace(day=1), day, point, is_billed, KWH) for day in days(first, last)],
            )
        connection.execute("""
            create table billing_monthly as
            select site_id, 'House' as site_name, meter_id, meter_id as meter_name,
                case when meter_id <> 'unlisted' then 'electricity' end as meter_type,
                'consumer' as meter_role, 'kWh' as unit, billing_month, 'ready' as grade, []::text[] as reasons,
                false as is_excluded
            from billing_days group by all
        """)
        make_tables(connection, "billing_points_monthly", given={"billing_days", "billing_monthly"})
        rows = connection.execute("""
            select billing_point, month(billing_month), total, billable_total, grade, meters, reasons
            from billing_points_monthly
        """).fetchall()
    found = {(point, month): tuple(row) for point, month, *row in rows}
    assert len(found) == len(rows)
    return found


def served(days_served: int) -> tuple:
    return KWH * days_served, KWH * days_served, "ready", 1, []


def unserved(number: int, days_served: int = 0) -> tuple:
    told = [f"not_served: {number} day{'s' * (number != 1)} without a meter in service, by meters.csv"]
    return (*served(days_served)[:4], told) if days_served else (None, None, "ready", 0, told)


def test_a_month_without_any_meter_has_a_row_that_says_so():
    """Two months of a flat were missing from every list, and nobody noticed that nothing was billed."""
    found = points_of(
        ("old", FIRST, date(2026, 1, 30), "Flat 1", True),
        ("new", date(2026, 4, 3), LAST, "Flat 1", True),
        ("other", FIRST, LAST, None, True),
        ("unlisted", FIRST, date(2026, 1, 31), None, True),
    )
    assert found == {
        ("Flat 1", 1): unserved(1, 30), ("Flat 1", 2): unserved(28), ("Flat 1", 3): unserved(31),
        ("Flat 1", 4): unserved(2, 28), ("Flat 1", 5): served(31), ("Flat 1", 6): served(30),
        ("unlisted", 1): served(31),
        **{("other", month): served(number) for month, number in enumerate((31, 28, 31, 30, 31, 30), 1)},
    }  # fmt: skip


@pytest.mark.parametrize("gone_from", [date(2026, 3, 1), date(2026, 3, 11)])
def test_before_its_first_meter_and_after_its_last_a_point_has_no_rows(gone_from):
    found = points_of(("old", date(2026, 2, 5), gone_from - timedelta(days=1), "Flat 1", True))
    expected = {("Flat 1", 2): served(24), ("Flat 1", 3): served(gone_from.day - 1)}
    assert found == {key: row for key, row in expected.items() if row[0]}


def test_days_that_are_not_billed_are_served_all_the_same():
    """What a person took off the bill is no month without a meter."""
    found = points_of(
        ("m", FIRST, date(2026, 1, 31), "Flat 1", True),
        ("m", date(2026, 2, 1), date(2026, 4, 30), "Flat 1", False),
        ("m", date(2026, 5, 1), LAST, "Flat 1", True),
    )
    assert found == {("Flat 1", month): served(number) for month, number in ((1, 31), (5, 31), (6, 30))}
