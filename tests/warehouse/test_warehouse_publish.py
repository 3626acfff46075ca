"""The published file: whole, unlocked, and readable under any name."""

from __future__ import annotations

import subprocess
import sys

import duckdb
import pytest

from climkit_pipeline.errors import WarehouseError
from climkit_pipeline.lake.layout import Layout
from climkit_pipeline.warehouse import publish as publishing
from climkit_pipeline.warehouse.publish import is_published, publish

COUNT = "select count(*) from billing_monthly"


def leftovers(layout):
    return [path.name for path in layout.build.iterdir() if path.name.startswith("publishing")]


def test_a_reader_with_the_old_file_open_neither_blocks_nor_breaks(copy):
    with duckdb.connect(copy.layout.warehouse, read_only=True) as reader:
        before = reader.execute(COUNT).fetchall()
        publish(copy.layout)
        assert reader.execute(COUNT).fetchall() == before
        # Another process opens the path now: it finds the new file, not a lock.
        path = str(copy.layout.warehouse)
        code = f"import duckdb; print(duckdb.connect({path!r}, read_only=True).execute({COUNT!r}).fetchall())"
        found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
        assert found.strip() == str(before)
    assert is_published(copy.layout)
    assert leftovers(copy.layout) == []


def test_views_work_under_another_alias(built):
    with duckdb.connect() as connection:
        path = str(built.layout.warehouse).replace("'", "''")
        connection.execute(f"attach '{path}' as meters_of_2026 (read_only)")
        assert connection.execute("select count(*) > 0 from meters_of_2026.main.billing_monthly").fetchall() == [
            (True,)
        ]
        connection.execute("use meters_of_2026")
        assert connection.execute("select count(*) > 0 from billing_monthly").fetchall() == [(True,)]
        # A macro's names are looked up where its reader stands, so this one needs the `use`.
        period = "billing_between('2026-10-01', '2026-10-31')"
        assert connection.execute(f"select count(*) > 0 from {period}").fetchall() == [(True,)]


def test_the_file_is_in_the_old_format(built):
    with duckdb.connect(built.layout.warehouse, read_only=True) as connection:
        [(tags,)] = connection.execute(
            "select tags from duckdb_databases() where database_name = 'warehouse'"
        ).fetchall()
    assert "v1.0" in str(tags)


def test_shortened_detail_keeps_whole_months_and_all_of_billing(copy):
    rows = copy.rows(COUNT)
    publish(copy.layout, publish_months=1)
    assert copy.rows("select distinct date_trunc('month', local_date)::date::varchar from meter_intervals") == [
        ("2026-11-01",)
    ]
    # Its newest row is from October: shortened by its own months it would keep what the intervals have lost.
    assert copy.rows("select count(*) from meter_intervals_superseded") == [(0,)]
    assert copy.rows(COUNT) == rows
    assert is_published(copy.layout, publish_months=1)
    assert not is_published(copy.layout)


def test_nothing_is_left_and_nothing_is_lost_when_publishing_fails(copy, monkeypatch):
    before = copy.layout.warehouse.stat().st_ino
    monkeypatch.setattr(publishing, "_SPARE_BYTES", 2**62)  # no disk has that much
    monkeypatch.setattr(publishing, "_FICLONE", 0)
    with pytest.raises(WarehouseError, match="free disk"):
        publish(copy.layout)
    assert copy.layout.warehouse.stat().st_ino == before
    assert leftovers(copy.layout) == []


def test_without_a_build_there_is_nothing_to_publish(tmp_path):
    with pytest.raises(WarehouseError, match="nothing to publish"):
        publish(Layout(tmp_path))
    assert not is_published(Layout(tmp_path))
