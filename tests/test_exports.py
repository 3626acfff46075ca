"""Exports are read by programs that interpret what they find."""

from __future__ import annotations

import zipfile
from datetime import date
from decimal import Decimal
from pathlib import Path

import duckdb
import pytest

from climkit_pipeline.cli.results import export_billing
from climkit_pipeline.errors import WarehouseError


@pytest.fixture
def warehouse(tmp_path: Path) -> Path:
    path = tmp_path / "warehouse.duckdb"
    with duckdb.connect(str(path)) as connection:
        connection.execute("""
            create table billing_monthly as
            select 's' as site_id, 'House' as site_name, 'm' as meter_id, '=1+1' as meter_name,
                date '2026-10-01' as billing_month, 12.5::decimal(18, 6) as total, 'ready' as grade,
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
            select *, 1 as closed_version, '' as closed_kind, now() as closed_at_utc, '' as closed_by,
                now() as valid_from_utc, false as was_excluded, '' as inputs_hash
            from billing_monthly
            where false
        """)
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


def test_a_month_without_rows_is_no_data_and_leaves_no_file(warehouse: Path, tmp_path: Path) -> None:
    with pytest.raises(WarehouseError, match="no data for 2026-12"):
        export_billing(warehouse, date(2026, 12, 1), "csv", tmp_path / "bill.csv")
    assert not (tmp_path / "bill.csv").exists()
