"""Exports are read by programs that interpret what they find."""

from __future__ import annotations

import csv
import os
import subprocess
import sys
import zipfile
from datetime import date
from decimal import Decimal
from pathlib import Path

import duckdb
import polars as pl
import pytest

from climkit_pipeline.cli.ranges import billing_period
from climkit_pipeline.cli.results import export_billing
from climkit_pipeline.errors import ConfigurationError, WarehouseError


@pytest.fixture
def warehouse(tmp_path: Path) -> Path:
    path = tmp_path / "warehouse.duckdb"
    with duckdb.connect(str(path)) as connection:
        connection.execute("""
            create table sites as select unnest(['r', 's']) as site_id
        """)
        connection.execute("""
            create table billing_monthly as
            select 's' as site_id, 'House' as site_name, 'm' as meter_id, '=1+1' as meter_name,
                date '2026-10-01' as billing_month, 12.5::decimal(18, 6) as total, 'ready' as grade, true as is_billed,
                []::varchar[] as reasons, timestamptz '2026-10-31 23:00:00+00' as period_end_utc
        """)
        connection.execute("""
            create table billing_closings (
                site_id varchar, billing_month date, version integer, closed_at_utc timestamptz, closed_by varchar,
                is_closed boolean
            )
        """)
        connection.execute("""
            create table billing_closed as
            select *, 1 as version, '' as closed_kind, now() as closed_at_utc, '' as closed_by,
                now() as valid_from_utc, false as was_excluded, '' as inputs_hash
            from billing_monthly
            where false
        """)
        connection.execute("""
            create table billing_lines_monthly as
            select site_id, meter_id, meter_name, 'electricity' as meter_type, 'kWh' as unit, billing_month,
                'm' as billing_point, null::varchar as occupant, false as is_vacant, total, grade, reasons,
                date '2026-10-01' as line_from, date '2026-10-31' as line_until,
                null::decimal(18, 6) as solar, null::decimal(18, 6) as grid, total as billable_total,
                null::decimal(18, 6) as billable_solar, null::decimal(18, 6) as billable_grid,
                null::decimal(18, 6) as index_start, null::decimal(18, 6) as index_end
            from billing_monthly
        """)
        connection.execute("""
            create table billing_closed_lines as
            select *, 1 as version, true as is_closed, false as was_excluded
            from billing_lines_monthly
            where false
        """)
        connection.execute("create macro billing_lines(first_day, last_day) as table (from billing_lines_monthly)")
        connection.execute("alter table sites add column site_name varchar")
        connection.execute("alter table billing_closings add column frozen_columns varchar[]")
    return path


def test_a_meters_name_never_becomes_a_formula(warehouse: Path, tmp_path: Path) -> None:
    """Names come from the provider: `=1+1` was computed, and its cell showed 0."""
    output = tmp_path / "bill.xlsx"
    export_billing(warehouse, date(2026, 10, 1), "xlsx", output)
    with zipfile.ZipFile(output) as archive:
        sheet = archive.read("xl/worksheets/sheet1.xml").decode()
        texts = archive.read("xl/sharedStrings.xml").decode()
    assert "<f>" not in sheet
    assert "=1+1" in texts
    assert str(Decimal("12.5")) in sheet


@pytest.mark.parametrize("name", ["=1+1", "+1", "-1+1", "@SUM(A1)", "\t=1", "\r=1", '=HYPERLINK("http://x")'])
def test_a_name_is_text_in_a_csv_file_and_a_number_is_a_number(warehouse: Path, tmp_path: Path, name: str) -> None:
    """A spreadsheet computes whatever looks like a formula, and a CSV file cannot say that it is none."""
    with duckdb.connect(str(warehouse)) as connection:
        connection.execute("update billing_monthly set meter_name = ?, total = -12.5, site_name = 'Rue 5-7'", [name])
    output = tmp_path / "bill.csv"
    export_billing(warehouse, date(2026, 10, 1), "csv", output)
    with output.open(newline="", encoding="utf-8") as file:
        (row,) = csv.DictReader(file)
    assert (row["meter_name"], row["site_name"]) == (f"'{name}", "Rue 5-7")
    assert Decimal(row["total"]) == Decimal("-12.5")
    export_billing(warehouse, date(2026, 10, 1), "parquet", tmp_path / "bill.parquet")
    assert pl.read_parquet(tmp_path / "bill.parquet")["meter_name"].to_list() == [name]


def test_a_meter_that_served_two_points_never_leaves_as_one_row(warehouse: Path, tmp_path: Path) -> None:
    """The month of a flat whose occupant changed was one row, of the new one."""
    with duckdb.connect(str(warehouse)) as connection:
        connection.execute("alter table billing_monthly add column peak_kw decimal(18, 6) default 3.5")
        connection.execute("update billing_lines_monthly set occupant = 'Ada', total = 8, line_until = '2026-10-14'")
        connection.execute("""
            insert into billing_lines_monthly
            select * replace ('Bob' as occupant, 4.5 as total, '2026-10-15' as line_from, '2026-10-31' as line_until)
            from billing_lines_monthly
        """)
    export_billing(warehouse, date(2026, 10, 1), "parquet", tmp_path / "bill.parquet")
    found = pl.read_parquet(tmp_path / "bill.parquet")
    assert found.select("meter_id", "occupant", "line_from", "line_until", "total", "peak_kw").rows() == [
        ("m", "Ada", date(2026, 10, 1), date(2026, 10, 14), Decimal(8), None),
        ("m", "Bob", date(2026, 10, 15), date(2026, 10, 31), Decimal("4.5"), None),
    ]


def test_a_month_without_rows_is_no_data_and_leaves_no_file(warehouse: Path, tmp_path: Path) -> None:
    with pytest.raises(WarehouseError, match="no data for 2026-12"):
        export_billing(warehouse, date(2026, 12, 1), "csv", tmp_path / "bill.csv")
    assert not (tmp_path / "bill.csv").exists()


def closed_as(warehouse: Path, total: str) -> None:
    """Close October of the site with another total than it has now."""
    with duckdb.connect(str(warehouse)) as connection:
        connection.execute("""
            insert into billing_closings
            values ('s', '2026-10-01', 3, '2026-11-12 09:00:00+00', 'A. Clerk', true, [])
        """)
        connection.execute("""
            insert into billing_closed
            select * replace (?::decimal(18, 6) as total), 3, 'settle', now(), 'A. Clerk', now(), false, ''
            from billing_monthly
        """, [total])  # fmt: skip


def exported(path: Path) -> list[tuple[object, ...]]:
    return pl.read_parquet(path).select("meter_id", "total", "version").rows()


def test_a_closed_month_is_exported_as_it_was_frozen(warehouse: Path, tmp_path: Path, capsys) -> None:
    closed_as(warehouse, "11")
    export_billing(warehouse, date(2026, 10, 1), "parquet", tmp_path / "bill.parquet")
    assert exported(tmp_path / "bill.parquet") == [("m", Decimal(11), 3)]
    assert capsys.readouterr().err.splitlines() == [
        "2026-10 of site s: version 3, closed on 2026-11-12 by A. Clerk (--current writes the values as they are now)",
        "2026-10: billed meters: 1 ready",
    ]
    export_billing(warehouse, date(2026, 10, 1), "parquet", tmp_path / "bill.parquet", current=True)
    assert pl.read_parquet(tmp_path / "bill.parquet")["total"].to_list() == [Decimal("12.5")]
    assert capsys.readouterr().err.startswith("the values as they are now")


def test_an_open_month_says_so(warehouse: Path, tmp_path: Path, capsys) -> None:
    export_billing(warehouse, date(2026, 10, 1), "parquet", tmp_path / "bill.parquet")
    assert exported(tmp_path / "bill.parquet") == [("m", Decimal("12.5"), None)]
    assert "2026-10 is not closed at 1 site: values as they are now" in capsys.readouterr().err


def test_a_filter_by_grade_still_counts_what_it_leaves_out(warehouse: Path, tmp_path: Path, capsys) -> None:
    """A bill of the ready meters alone looked as if there were no others."""
    export_billing(warehouse, date(2026, 10, 1), "parquet", tmp_path / "bill.parquet", grades=["blocked"])
    assert exported(tmp_path / "bill.parquet") == []
    assert "2026-10: billed meters: 1 ready; written: 0 of blocked" in capsys.readouterr().err


@pytest.mark.parametrize("is_billed", ["false", "null"])
def test_meters_that_are_not_billed_are_counted_apart(warehouse: Path, tmp_path: Path, capsys, is_billed: str) -> None:
    """A closed month said "blocked: 1", and nothing told that it was a sum that nobody bills."""
    with duckdb.connect(str(warehouse)) as connection:
        connection.execute(
            f"""
            insert into billing_monthly
            select * replace (number::varchar as meter_id, {is_billed} as is_billed, 'blocked' as grade)
            from billing_monthly, range(2) as numbers (number)
        """.replace("select *", "select billing_monthly.*")
        )
    export_billing(warehouse, date(2026, 10, 1), "parquet", tmp_path / "bill.parquet")
    assert "2026-10: billed meters: 1 ready; not billed: 2 blocked\n" in capsys.readouterr().err


def test_a_site_is_named_rightly_or_refused(warehouse: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="no site 't'; accepted: r, s"):
        export_billing(warehouse, date(2026, 10, 1), "csv", tmp_path / "bill.csv", sites=["t"])
    with pytest.raises(WarehouseError, match="no data for 2026-10"):
        export_billing(warehouse, date(2026, 10, 1), "csv", tmp_path / "bill.csv", sites=["r"])
    assert not (tmp_path / "bill.csv").exists()


def test_any_local_days_come_from_billing_between(warehouse: Path, tmp_path: Path) -> None:
    days = (date(2026, 9, 15), date(2026, 10, 14))
    with pytest.raises(WarehouseError, match="no billing_between"):
        export_billing(warehouse, days, "parquet", tmp_path / "bill.parquet")
    with duckdb.connect(str(warehouse)) as connection:
        connection.execute("""
            create macro billing_between(first_day, last_day) as table (
                select *, first_day::date as period_first_day, last_day::date as period_last_day from billing_monthly
            )
        """)
    export_billing(warehouse, days, "parquet", tmp_path / "bill.parquet")
    found = pl.read_parquet(tmp_path / "bill.parquet")
    assert found.select("meter_id", "period_first_day", "period_last_day").rows() == [("m", *days)]


def test_a_reversed_period_is_refused_before_anything_is_read() -> None:
    """It came out as an empty bill that was ready."""
    assert billing_period(None, "2026-10-01", "2026-10-01") == (date(2026, 10, 1), date(2026, 10, 1))
    assert billing_period("10.2026", None, None) == billing_period("2026-10", None, None) == date(2026, 10, 1)
    assert billing_period(None, "1.10.2026", "31.10.2026") == (date(2026, 10, 1), date(2026, 10, 31))
    for wrong in ("2026-13", "13.2026", "2026", "10/2026", "26-10", "2026-10-01"):
        with pytest.raises(ConfigurationError, match=r"is not a month; accepted: YYYY-MM or MM\.YYYY"):
            billing_period(wrong, None, None)
    with pytest.raises(ConfigurationError, match="--from 2026-10-31 is after --to 2026-10-01"):
        billing_period(None, "2026-10-31", "2026-10-01")


@pytest.mark.parametrize(("output_format", "number"), [("csv-excel", "12,500000"), ("csv-excel-point", "12.500000")])
def test_a_spreadsheet_in_french_or_german_opens_the_csv_that_is_made_for_it(
    warehouse: Path, tmp_path: Path, output_format: str, number: str
) -> None:
    """The plain form opened as one column, with its accents broken."""
    output = tmp_path / "bill.csv"
    export_billing(warehouse, date(2026, 10, 1), output_format, output)
    assert output.read_bytes().startswith("\ufeffsite_id;".encode())
    (row,) = csv.DictReader(output.read_text(encoding="utf-8-sig").splitlines(), delimiter=";")
    assert (row["total"], row["meter_name"], row["billing_month"]) == (number, "'=1+1", "2026-10-01")


@pytest.mark.parametrize(
    ("encoding", "shown"),
    [("ascii", "Chalet d'Evolene | - 3 | ?"), ("latin-1", "Chalet d'Évolène | - 3 | ?"),
     ("utf-8", "Chalet d’Évolène │ – 3 │ 水")],
)  # fmt: skip
def test_what_stdout_cannot_show_is_shown_in_other_signs(encoding: str, shown: str) -> None:
    """A table of a cron job ended with UnicodeEncodeError."""
    code = (
        "from climkit_pipeline.cli.encodings import never_raise; never_raise();"
        "print('Chalet d\u2019\u00c9vol\u00e8ne \u2502 \u2013 3 \u2502 \u6c34')"
    )
    environment = os.environ | {"PYTHONIOENCODING": encoding}
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, env=environment)
    assert result.stdout.decode(encoding) == shown + "\n"


@pytest.mark.parametrize("output_format", ["table", "csv", "json"])
def test_a_query_on_an_ascii_terminal_ends_well_and_its_csv_stays_what_it_is(
    tmp_path: Path, output_format: str
) -> None:
    with duckdb.connect(str(tmp_path / "warehouse.duckdb")) as connection:
        connection.execute("create table names as select 'Évolène' as name, null as nothing")
    code = "from climkit_pipeline.cli.main import main; main()"
    result = subprocess.run(
        [sys.executable, "-c", code, "query", "from names", "--format", output_format],
        capture_output=True,
        check=False,
        env=os.environ | {"PYTHONIOENCODING": "ascii", "CLIMKIT_DATA_DIR": str(tmp_path)},
    )
    assert (result.returncode, result.stderr) == (0, b"")
    assert ("Evolene" if output_format == "table" else "Évolène") in result.stdout.decode()
