"""The published file: whole, unlocked, and readable under any name."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import duckdb
import pytest
from built_warehouse import SETTINGS

from climkit_pipeline.errors import WarehouseError
from climkit_pipeline.lake.layout import Layout
from climkit_pipeline.warehouse import publish as publishing
from climkit_pipeline.warehouse.publish import is_published, publish
from climkit_pipeline.warehouse.refresh import refresh

PAGE = Path(__file__).resolve().parents[2] / "docs" / "warehouse.md"
COUNT = "select count(*) from billing_monthly"
VIEWS = "select schema_name || '.' || view_name from duckdb_views() where not internal"


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
        assert connection.execute("select count(*) > 0 from analysis.meter_flows").fetchall() == [(True,)]


def test_every_view_that_is_published_can_be_read(built):
    """One that reads an inner table builds well, and is broken in the file that analysts open."""
    for (view,) in built.rows(VIEWS):
        assert built.rows(f"select count(*) >= 0 from {view}") == [(True,)]


def test_the_functions_of_an_attached_file_read_its_tables_as_the_page_says(built):
    """They looked for their tables in the session's own database, or took a table of the reader's for theirs."""
    block = re.search(r"```sql\n(attach .*?)```", PAGE.read_text(), flags=re.DOTALL)
    assert block is not None
    attach, *statements, query = [line for line in block[1].split("\n") if line]
    calls = {
        "billing_between": "billing_between('2026-10-05', '2026-10-20')",
        "billing_as_of": "billing_as_of('2026-11-04 03:00+00')",
        "meter_intervals_as_of": "meter_intervals_as_of('2026-11-04 03:00+00')",
    }
    expected = {name: built.rows(f"from {call} order by all") for name, call in calls.items()}
    ours = built.rows("select meter_name, total from billing_between('2026-10-05', '2026-10-20') order by all")
    with duckdb.connect() as connection:
        connection.execute("set timezone = 'UTC'")
        for name in ("meter_months", "billing_monthly", "meter_intervals"):
            connection.execute(f"create table {name} as select 1 as something_else")
        connection.execute(attach.replace("data/warehouse.duckdb", str(built.layout.warehouse).replace("'", "''")))
        for statement in statements:
            connection.execute(statement)
        assert sorted(connection.execute(query).fetchall(), key=str) == sorted(
            [("Muster", *row) for row in ours], key=str
        )
        for name, call in calls.items():
            assert connection.execute(f"from {call} order by all").fetchall() == expected[name]
            assert expected[name]


def test_every_function_says_what_it_does_and_what_an_attached_file_needs(built):
    functions = "from duckdb_functions() where function_type = 'table_macro' and not internal"
    said = dict(built.rows(f"select function_name, comment {functions}"))
    assert set(said) == {"billing_between", "billing_lines", "billing_as_of", "meter_intervals_as_of"}
    assert all("set search_path" in comment for comment in said.values())


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


def test_a_whole_refresh_shortens_detail_too(copy):
    """It holds the build file, which could not be read a second time then: nothing was published."""
    report = refresh(copy.layout, SETTINGS, publish_months=1)
    assert report.published is not None
    assert copy.rows("select distinct date_trunc('month', local_date)::date::varchar from meter_intervals") == [
        ("2026-11-01",)
    ]
    assert refresh(copy.layout, SETTINGS, publish_months=1).published is None


def test_shortened_detail_is_all_else_the_same_and_takes_less_room(copy):
    """It was a copy out of which rows were deleted, as large as the whole."""
    described = """select 'column', table_name, column_name, data_type, comment from duckdb_columns() where not internal
        union all select 'table', table_name, '', '', comment from duckdb_tables()
        union all select 'view', view_name, '', '', comment from duckdb_views() where not internal
        union all select 'function', function_name, '', parameters::varchar, comment from duckdb_functions()
            where function_type = 'table_macro' and not internal
        order by all"""
    publish(copy.layout)
    size, descriptions = copy.layout.warehouse.stat().st_size, copy.rows(described)
    days = copy.rows("from meter_days order by all")
    publish(copy.layout, publish_months=1)
    assert copy.rows(described) == descriptions
    assert copy.rows("from meter_days order by all") == days
    assert copy.layout.warehouse.stat().st_size < size / 2
    for (view,) in copy.rows(VIEWS):
        assert copy.rows(f"select count(*) >= 0 from {view}") == [(True,)]


def test_what_was_known_is_not_told_without_the_intervals_and_says_so(copy):
    """It said that nothing was known then: no total, and 0 intervals."""
    known = """select billing_month::varchar, total, intervals_present, split_part(reasons[1], ':', 1)
        from billing_as_of('2030-01-01 00:00+00') where meter_id = 'shop' order by all"""
    october, november = copy.rows(known)
    assert october[1] > 0
    assert {october[3], november[3]} == {"as_known_then"}
    publish(copy.layout, publish_months=1)
    assert copy.rows(known) == [("2026-10-01", None, None, "not_published"), november]
    assert copy.rows("select value from about where key = 'detail_first_day'") == [("2026-11-01",)]
    publish(copy.layout, publish_months=2)
    assert copy.rows(known) == [october, november]


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
