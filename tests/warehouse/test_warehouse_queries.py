"""What the command line shows and exports."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import polars as pl
import pytest
from small_lake import ZONES

from climkit_pipeline.errors import QueryError, WarehouseError
from climkit_pipeline.warehouse.queries import (
    about,
    billing_table,
    grades_by_month,
    run_query,
    write_result,
)

OCTOBER = date(2026, 10, 1)


def test_no_data_yet_is_said(tmp_path):
    with pytest.raises(WarehouseError, match="no data yet") as caught:
        run_query(tmp_path / "warehouse.duckdb", "select 1")
    assert not isinstance(caught.value, QueryError)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "sql", ["selec 1", "select * from nope", "drop table meters", "delete from meters", "", "select 1 as a, 2 as a"]
)
def test_wrong_sql_is_one_line(built, sql):
    with pytest.raises(QueryError) as caught:
        run_query(built.layout.warehouse, sql)
    assert caught.value.exit_status == 2
    assert "\n" not in str(caught.value)


def test_wrong_sql_is_told_what_may_have_been_meant(built):
    """DuckDB's second line, with the names that are there, was cut off."""
    for sql, name in [("select meter_nam from meters", "meter_name"), ("from meter_day", "meter_days")]:
        with pytest.raises(QueryError, match=rf"\b{name}\b"):
            run_query(built.layout.warehouse, sql)
    with pytest.raises(QueryError) as caught:
        run_query(built.layout.warehouse, f"select {'x' * 9999} from meters")
    assert len(str(caught.value)) == 500


def test_results_keep_their_types(built):
    frame = run_query(
        built.layout.warehouse, "select total, billing_month, period_start_utc, reasons from billing_monthly"
    )
    assert frame.schema == {
        "total": pl.Decimal(18, 6),
        "billing_month": pl.Date,
        "period_start_utc": pl.Datetime("us", "UTC"),
        "reasons": pl.List(pl.String),
    }


def test_an_analyst_may_join_a_file_of_his_own(built, tmp_path):
    (tmp_path / "flats.csv").write_text("meter_id,tenant\nflat,Muster\n")
    frame = run_query(built.layout.warehouse, f"select tenant from meters join '{tmp_path}/flats.csv' using (meter_id)")
    assert frame.rows() == [("Muster",)]


def test_billing_table_is_one_month_of_every_meter(built):
    frame = billing_table(built.layout.warehouse, date(2026, 10, 31))
    assert frame.height == 10
    assert set(frame["billing_month"]) == {OCTOBER}


def test_grades_are_counted_by_month(built):
    rows = grades_by_month(built.layout.warehouse).rows()
    assert rows[0] == (date(2026, 11, 1), "provisional", 2)
    assert {grade: count for month, grade, count in rows if month == OCTOBER} == {"ready": 4, "blocked": 6}
    assert about(built.layout.warehouse)["meters"] == "10"


FRAME = pl.DataFrame(
    {
        "total": [Decimal("1.500000"), None],
        "reasons": [["a: b", "c: d"], []],
        "at": [datetime(2026, 10, 31, 23, tzinfo=UTC), None],
        "gaps": [[{"n": 1}], None],
    },
    schema_overrides={"total": pl.Decimal(18, 6)},
)


def test_csv_is_plain(tmp_path):
    text = write_result(FRAME, "csv")
    assert text.splitlines()[:2] == [
        "total,reasons,at,gaps",
        '1.500000,a: b | c: d,2026-10-31T23:00:00Z,"{""gaps"":[{""n"":1}]}"',
    ]
    assert write_result(FRAME, "csv", tmp_path / "out.csv") is None
    assert (tmp_path / "out.csv").read_text() == text
    assert [path.name for path in tmp_path.iterdir()] == ["out.csv"]


def test_json_and_parquet_hold_the_same(tmp_path):
    write_result(FRAME, "json", tmp_path / "out.json")
    assert json.loads((tmp_path / "out.json").read_text())[0]["reasons"] == ["a: b", "c: d"]
    write_result(FRAME, "parquet", tmp_path / "out.parquet")
    assert pl.read_parquet(tmp_path / "out.parquet").equals(FRAME)


def test_parquet_needs_a_file_and_a_file_a_folder(tmp_path):
    with pytest.raises(QueryError, match="name a file"):
        write_result(FRAME, "parquet")
    (tmp_path / "taken").write_text("")
    with pytest.raises(WarehouseError, match="cannot be written"):
        write_result(FRAME, "csv", tmp_path / "taken" / "out.csv")


def test_an_export_of_any_local_days_is_billing_between_to_the_last_column(built, tmp_path):
    """A process of its own, on the real macro; its totals are those of the lake, added up by local date in Python."""
    first, last = date(2026, 10, 20), date(2026, 11, 3)
    output = tmp_path / "bill.parquet"
    done = subprocess.run(
        [Path(sys.executable).with_name("climkit"), "export", "billing", "--from", str(first), "--to", str(last),
         "--format", "parquet", "--output", output],
        env=os.environ | {"CLIMKIT_DATA_DIR": str(built.layout.root)}, cwd=tmp_path, capture_output=True, text=True,
        timeout=600, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    frame = pl.read_parquet(output)
    order = "order by site_name, site_id, meter_name, meter_id"
    expected = run_query(built.layout.warehouse, f"from billing_between('{first}', '{last}') {order}")
    # Whose line it is comes on top.
    assert frame.select(expected.columns).equals(expected)
    sums: dict[tuple[str, str], Decimal] = {}
    for row in built.lake.current("meter_intervals"):
        day = row["interval_start_utc"].astimezone(ZONES[row["site_id"]]).date()
        if first <= day <= last and row["total"] is not None:
            meter = row["site_id"], row["meter_id"]
            sums[meter] = sums.get(meter, Decimal(0)) + Decimal(str(row["total"]))
    found = {(row["site_id"], row["meter_id"]): row["total"] for row in frame.iter_rows(named=True)}
    assert found == {meter: sums.get(meter) for meter in found}
    assert set(sums) <= set(found)
    counts = [
        ", ".join(f"{grades.count(grade)} {grade}" for grade in sorted(set(grades)))
        for is_billed in (True, False)
        if (grades := frame.filter(pl.col("is_billed") == is_billed)["grade"].to_list())
    ]
    assert len(counts) == 2
    assert f"{first} to {last}: billed meters: {counts[0]}; not billed: {counts[1]}\n" in done.stderr
