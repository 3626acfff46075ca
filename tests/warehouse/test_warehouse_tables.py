"""The other published tables: registers, calendar, days, and what every table says about itself."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

import duckdb
import pytest
from rendered_models import rendered_model
from small_lake import AS_OF, EMPTY_DAY, METERS, midnight

from climkit_pipeline.domain.periods import local_midnight_utc

CONTRACT = {
    "meter_intervals": "site_id meter_id interval_start_utc interval_end_utc total solar grid fetched_at_utc",
    "site_intervals": """site_id meter_type interval_start_utc interval_end_utc consumption production grid_import
        self_consumption grid_export storage_charge storage_discharge fetched_at_utc""",
    "meter_indices": "site_id meter_id read_at_utc index_import_kwh index_export_kwh heat_kwh volume_m3 fetched_at_utc",
}


@pytest.mark.parametrize("table", CONTRACT)
def test_contract_columns_of_the_series_and_local_date_last(built, table):
    assert [row[0] for row in built.rows(f"describe {table}")] == [*CONTRACT[table].split(), "local_date"]


def test_every_table_and_column_explains_itself(built):
    relations = built.rows(
        """select table_name, comment from duckdb_tables()
        union all select view_name, comment from duckdb_views() where not internal"""
    )
    assert len(relations) > 15
    assert [name for name, comment in relations if not comment] == []
    columns = built.rows(
        """select table_name, column_name from duckdb_columns()
        where not internal and database_name = current_database() and coalesce(comment, '') = ''"""
    )
    assert columns == []


def test_only_tables_for_analysts_are_published(built):
    schemas = built.rows(
        "select distinct schema_name from duckdb_schemas() where database_name = current_database() and not internal"
    )
    assert schemas == [("analysis",)]  # and `main`, which counts as internal
    assert built.rows("from duckdb_tables() where schema_name <> 'main' or table_name like 'int%'") == []


def test_interval_tables_hold_exactly_the_current_rows(built):
    for dataset in ("meter_intervals", "site_intervals", "meter_indices", "sensor_readings"):
        columns = [row[0] for row in built.rows(f"describe {dataset}")][:-1]
        found = built.rows(f"select {', '.join(columns)} from {dataset}")
        truth = [tuple(row.get(column) for column in columns) for row in built.lake.current(dataset)]
        assert sorted(found, key=repr) == sorted(truth, key=repr)


def test_registers_keep_who_disappeared(built):
    rows = built.rows(
        "select meter_id, meter_name, first_seen_on, last_seen_on, is_listed from meters where site_id = 'z1'"
    )
    found = {row[0]: row[1:] for row in rows}
    assert found["flat"] == ("Meter flat (renamed)", date(2026, 3, 1), date(2026, 10, 31), True)
    assert found["steam"] == ("Meter steam", date(2026, 3, 1), date(2026, 4, 1), False)
    assert built.rows("select count(*) from meters") == [(len(METERS),)]
    assert built.rows("select site_id, zone, created_on, is_listed from sites order by 1") == [
        ("k1", "Asia/Kathmandu", date(2020, 1, 1), True),
        ("z1", "Europe/Zurich", date(2026, 2, 10), True),
    ]


def test_a_day_asked_and_empty_has_a_row_without_sums(built):
    rows = built.rows(
        """select total, intervals_expected, intervals_present, intervals_missing, coverage_state, last_fetched_at_utc
        from meter_days where meter_id = 'roof' and local_date = ?""",
        [EMPTY_DAY],
    )
    assert rows == [(None, 96, 0, 96, "empty", AS_OF)]


def test_calendar_is_that_of_zoneinfo(built):
    rows = built.rows("select zone, local_date, day_start_utc, day_end_utc, quarter_hours from calendar_days")
    assert {row[0] for row in rows} == {"Europe/Zurich", "Asia/Kathmandu"}
    assert min(row[1] for row in rows) == date(2026, 2, 1)
    assert max(row[1] for row in rows) == date(2026, 11, 30)
    for zone, day, start, end, quarters in rows:
        assert start == midnight(day, ZoneInfo(zone))
        assert end == midnight(day + timedelta(days=1), ZoneInfo(zone))
        assert quarters == (end - start) / timedelta(minutes=15)


HARD_ZONES = [
    "Europe/Zurich",
    "Europe/London",
    "America/New_York",
    "Asia/Kathmandu",  # +5:45
    "Australia/Lord_Howe",  # clocks change by half an hour
    "America/Havana",  # clocks go back over midnight: it happens twice
    "America/Asuncion",  # clocks went forward at midnight: it did not exist
    "Africa/Cairo",
    "Pacific/Apia",
    "UTC",
]


def test_calendar_sql_is_right_in_hard_zones():
    """The model's own SQL on other zones and years, leap day included: the day begins with its first instant."""
    sql = rendered_model("calendar_days")
    with duckdb.connect() as connection:
        connection.execute("set timezone = 'UTC'")
        connection.execute("create table coverage_days (local_date date)")
        connection.execute("insert into coverage_days values ('2023-02-01'), ('2024-12-31')")
        connection.execute("create table int_site_zones (zone varchar)")
        connection.executemany("insert into int_site_zones values (?)", [[zone] for zone in HARD_ZONES])
        rows = connection.execute(f"select zone, local_date, day_start_utc, day_end_utc from ({sql})").fetchall()
    assert len(rows) == len(HARD_ZONES) * (365 + 366)
    assert date(2024, 2, 29) in {row[1] for row in rows}
    wrong = [
        (zone, day)
        for zone, day, start, end in rows
        if (start, end)
        != (local_midnight_utc(day, ZoneInfo(zone)), local_midnight_utc(day + timedelta(days=1), ZoneInfo(zone)))
    ]
    assert wrong == []


def test_about_says_what_the_tables_were_built_from(built):
    about = dict(built.rows("from about"))
    published = datetime.fromisoformat(about.pop("published_at_utc"))
    assert published.utcoffset() == timedelta(0)
    assert about.pop("duckdb_version")
    assert about == {
        "as_of_utc": "2026-11-20T03:00:00Z",
        "first_day": "2026-03-01",
        "last_day": "2026-11-05",
        "sites": "2",
        "meters": str(len(METERS)),
        "close_after_days": "10",
        "default_timezone": "Europe/Zurich",
        "pipeline_version": "0.0.0-test",
    }
