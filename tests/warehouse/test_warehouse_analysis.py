"""The views for people: names that are unique, local time, power by a row's own length, and nothing counted twice."""

from __future__ import annotations

from collections import defaultdict
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

import duckdb
import pytest
from rendered_models import rendered_model
from small_lake import GAP_DAY, METERS, ZONES

from climkit_pipeline.warehouse.project import load_project
from climkit_pipeline.warehouse.queries import run_query

VIEWS = [name for name, model in load_project().models.items() if model.folder == "analysis"]
UNITS = {"electricity": "kWh", "heating": "kWh", "cold_water": "m3", "steam": None}


def test_there_are_about_a_dozen_and_they_are_views(built):
    found = built.rows("select view_name from duckdb_views() where schema_name = 'analysis' order by 1")
    assert [name for (name,) in found] == sorted(VIEWS)
    assert 10 <= len(VIEWS) <= 14
    assert {model.kind for model in load_project().models.values() if model.folder == "analysis"} == {"view"}


def test_none_of_them_hides_a_table_and_all_are_found_by_their_bare_names(built):
    tables = "select table_name from duckdb_columns() where schema_name = 'main' and not internal"
    assert {name for (name,) in built.rows(tables)}.isdisjoint(VIEWS)
    for view in VIEWS:
        assert run_query(built.layout.warehouse, f"select count(*) from {view}").height == 1


def test_a_cell_holds_one_value(built):
    """Lists and JSON open in no spreadsheet."""
    kinds = built.rows("select distinct data_type from duckdb_columns() where schema_name = 'analysis'")
    plain = {"VARCHAR", "DATE", "TIMESTAMP", "TIMESTAMP WITH TIME ZONE", "BOOLEAN", "INTEGER", "DOUBLE"}
    assert {kind for (kind,) in kinds if not kind.startswith("DECIMAL")} <= plain


def test_a_load_curve_is_in_local_time_and_power_follows_the_length_of_its_row(built):
    """Kilowatt-hours times four made a daily value of heat 96 times too strong."""
    kinds = {(meter.site, meter.id): UNITS[meter.type] for meter in METERS}
    found = built.rows(
        """select site_id, meter_id, interval_start_utc, local_start, minutes, energy_kwh, power_kw, volume_m3
        from analysis.meter_flows"""
    )
    truth = []
    for row in built.lake.current("meter_intervals"):
        start, end, total = row["interval_start_utc"], row["interval_end_utc"], row["total"]
        unit = kinds[row["site_id"], row["meter_id"]]
        hours = (end - start) / timedelta(hours=1)
        exact = None if total is None else Decimal(str(total)).quantize(Decimal("0.000001"))
        truth.append(
            (
                row["site_id"],
                row["meter_id"],
                start,
                start.astimezone(ZONES[row["site_id"]]).replace(tzinfo=None),
                round(hours * 60),
                exact if unit == "kWh" else None,
                pytest.approx(total / hours) if unit == "kWh" and total is not None else None,
                exact if unit == "m3" else None,
            )
        )
    assert {row[4] for row in found} == {15, 60, 1440}
    assert sorted(found, key=lambda row: row[:3]) == sorted(truth, key=lambda row: row[:3])


def test_flats_per_day_are_sums_of_their_consumers(built):
    expected: dict[tuple[str, date], Decimal] = defaultdict(Decimal)
    consumers = {
        meter.id for meter in METERS if meter.mode == "consumption" and not meter.is_rule and UNITS[meter.type]
    }
    for row in built.lake.current("meter_intervals"):
        if row["meter_id"] in consumers and row["total"] is not None:
            day = row["interval_start_utc"].astimezone(ZONES[row["site_id"]]).date()
            expected[row["meter_id"], day] += Decimal(str(row["total"]))
    found = built.rows(
        """select billing_point, local_date, coalesce(energy_kwh, volume_m3)
        from analysis.flat_days where unit is not null"""
    )
    assert {(point, day): total for point, day, total in found} == expected


def test_what_is_missing_is_named(built):
    rows = built.rows(
        """select meter_id, local_date, intervals_missing, intervals_null, what from analysis.missing_days
        where meter_id in ('gap', 'roof')"""
    )
    assert (("gap", GAP_DAY, 4, 1, "intervals are missing")) in rows
    assert ("roof", "nothing came") in {(row[0], row[4]) for row in rows}


def test_a_changed_value_says_old_and_new_and_when_by_the_clock_on_the_wall(built):
    [(meter, start, new, difference, old)] = built.rows(
        """select meter, local_start, new_value, difference, old_value
        from analysis.changed_values where quantity = 'total'"""
    )
    assert meter == "Bahnhofstrasse 1 · Meter flat (renamed)"
    assert start == datetime(2026, 10, 14, 2, 30)  # noqa: DTZ001 - a wall clock
    assert (new, difference) == (7.5, pytest.approx(7.5 - old))


@pytest.fixture
def tables():
    with duckdb.connect() as connection:
        connection.execute("set timezone = 'UTC'")
        yield connection


def rows_of(connection: duckdb.DuckDBPyConnection, model: str, columns: str) -> list[tuple]:
    return connection.execute(f"select {columns} from ({rendered_model(model)}) order by all").fetchall()


def test_names_are_unique_whatever_sites_and_meters_are_called(tables):
    """Two sites of one name were one building in every chart, and a flat's water and power one meter."""
    tables.execute("create table sites (site_id text, site_name text, zone text default 'Europe/Zurich')")
    tables.execute("insert into sites (site_id, site_name) values ('s1', 'Lake 1'), ('s2', 'Lake 1'), ('s3', null)")
    tables.execute(
        """create table meters (site_id text, meter_id text, meter_name text, meter_type text,
        first_seen_on date, last_seen_on date, is_listed boolean)"""
    )
    tables.execute(
        """insert into meters (site_id, meter_id, meter_name, meter_type) values
        ('s1', 'a', 'Flat', 'electricity'), ('s1', 'b', 'Flat', 'cold_water'), ('s2', 'c', 'Flat', 'electricity'),
        ('s2', 'd', 'Flat', 'electricity'), ('s3', 'e', 'Flat', 'electricity'), ('s3', 'f', null, 'electricity')"""
    )
    tables.execute(
        """create table meter_kinds as
        select site_id, meter_id, date '9999-12-31' as last_day, 'consumer' as meter_role, 'kWh' as unit from meters"""
    )
    tables.execute(
        """create table meter_facts as select
        's1' as site_id, unnest(['a', 'b']) as meter_id, date '2026-01-01' as valid_from, 'Ground' as billing_point"""
    )
    assert rows_of(tables, "metering_points", "meter, flat") == [
        ("Lake 1 (s1) · Flat (cold_water)", "Lake 1 (s1) · Ground"),
        ("Lake 1 (s1) · Flat (electricity)", "Lake 1 (s1) · Ground"),
        ("Lake 1 (s2) · Flat (c)", "Lake 1 (s2) · Flat (c)"),
        ("Lake 1 (s2) · Flat (d)", "Lake 1 (s2) · Flat (d)"),
        ("s3 · Flat", "s3 · Flat"),
        ("s3 · f", "s3 · f"),
    ]


def test_charge_points_are_told_apart_and_never_added(tables):
    """A sum over the types of a site counted a sixth of its electricity twice."""
    tables.execute("create table metering_points as select 's' as site_id, 'Lake 1' as site")
    quantities = ("consumption", "production", "self_consumption", "grid_import", "grid_export")
    tables.execute(
        f"""create table site_days (site_id text, meter_type text, local_date date,
        {", ".join(f"{name} decimal(18, 6)" for name in quantities)}, intervals_present int, intervals_expected int)"""
    )
    tables.execute(
        """insert into site_days values
        ('s', 'electricity', '2026-10-01', 50, 20, 15, 35, 5, 96, 96),
        ('s', 'charge_point', '2026-10-01', 8, 0, 0, 8, 0, 96, 96),
        ('s', 'electricity', '2026-10-02', 10, -0.01, -0.01, 10.01, 0, 48, 96),
        ('s', 'heating', '2026-10-02', 99, 0, 0, 0, 0, 96, 96)"""
    )
    columns = "local_date, consumption_kwh, charge_points_kwh, other_consumption_kwh"
    assert rows_of(tables, "site_energy_days", f"{columns}, autonomy_rate, self_consumption_rate, completeness") == [
        (date(2026, 10, 1), 50, 8, 42, 0.3, 0.75, 1.0),
        (date(2026, 10, 2), 10, None, 10, None, None, 0.5),
    ]


@pytest.mark.parametrize(
    ("temperature", "hours", "degree_days"), [(4.0, 24, 16), (12.0, 24, 8), (12.1, 24, 0), (4.0, 19, None)]
)
def test_degree_days_count_from_twelve_to_twenty_degrees(tables, temperature, hours, degree_days):
    """Switzerland's 20/12; a morning alone is no day, and a living room is not outdoors."""
    day = date(2026, 1, 10)
    midnight = datetime(2026, 1, 10, tzinfo=ZoneInfo("Europe/Zurich")).astimezone(UTC)
    tables.execute("create table metering_points as select 's' as site_id, 'Lake 1' as site")
    tables.execute("create table sensor_roles (site_id text, sensor_id text, sensor_role text)")
    tables.execute(
        "insert into sensor_roles values ('s', 't', 'outdoor_temperature'), ('s', 'i', 'indoor_temperature')"
    )
    tables.execute(
        """create table sensor_readings
        (site_id text, sensor_id text, read_at_utc timestamptz, reading double, local_date date)"""
    )
    # The last reading of a day is that of midnight. What a broken sensor shows counts for nothing.
    readings = [("s", "t", midnight + timedelta(hours=number + 1), temperature, day) for number in range(hours)]
    readings += [("s", "t", midnight + timedelta(minutes=90), 850.0, day)]
    readings += [("s", "i", midnight + timedelta(minutes=60), 21.0, day)]
    tables.executemany("insert into sensor_readings values (?, ?, ?, ?, ?)", readings)
    assert rows_of(tables, "degree_days", "heating_degree_days, hours_measured") == [(degree_days, hours)]


def test_a_sensor_is_found_by_id_or_by_a_name_that_only_it_bears(tables):
    tables.execute("create table sites (site_id text, site_name text)")
    tables.execute("insert into sites values ('s1', 'Lake 1'), ('s2', 'Twin'), ('s3', 'Twin')")
    tables.execute("create table sensors (site_id text, sensor_id text, sensor_name text, sensor_type text)")
    tables.execute(
        """insert into sensors values ('s1', 't', 'North', 'temperature'), ('s1', 'h', 'North', 'humidity'),
        ('s1', 'r', 'Room', 'temperature'), ('s2', 'u', 'North', 'temperature')"""
    )
    tables.execute("create table sensor_roles (site text, sensor text, sensor_role text)")
    tables.execute(
        """insert into sensor_roles values
        ('Lake 1', 'North (temperature)', 'outdoor_temperature'), ('s1', 'North', 'indoor_temperature'),
        ('s1', 'r', 'indoor_temperature'), ('Twin', 'North', 'outdoor_temperature')"""
    )
    assert rows_of(tables, "sensor_roles", "site_id, sensor_id, sensor_role") == [
        ("s1", "r", "indoor_temperature"),
        ("s1", "t", "outdoor_temperature"),
    ]
