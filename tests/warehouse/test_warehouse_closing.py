"""Frozen months: which may be frozen, the files, and which version says what was known when."""

from __future__ import annotations

import csv
import dataclasses
import hashlib
import itertools
import json
import os
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import duckdb
import polars as pl
import pytest
from babel.core import Locale
from babel.numbers import parse_decimal
from built_warehouse import SETTINGS, Built
from fault_lake import MONTH, FaultLake, counted, hour, ordinary, span, without
from hypothesis import given, settings
from hypothesis import strategies as st
from python_calamine import CalamineWorkbook
from rendered_models import make_tables, rendered_model
from small_lake import AS_OF, SECOND_FETCH, ZONES, ZURICH, local_month, midnight

from climkit_pipeline.cli.results import export_bill
from climkit_pipeline.errors import ConfigurationError, LakeError, WarehouseError
from climkit_pipeline.lake.layout import Layout
from climkit_pipeline.warehouse.closed_files import (
    ROWS_SCHEMA,
    VERSIONS_SCHEMA,
    Version,
    check_closed,
    closed_tables,
    content_hash,
    month_folder,
    read_corrections_seen,
    read_rows,
    read_versions,
    remember_corrections,
    version_file,
    versions_digest,
    write_version,
)
from climkit_pipeline.warehouse.closing import AUTOMATIC, closable_months, close_what_is_ready, open_closings
from climkit_pipeline.warehouse.queries import frame_of
from climkit_pipeline.warehouse.refresh import open_refresh, read_inputs, refresh

OCTOBER = date(2026, 10, 1)
NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)


def rows_of(*meters: str, total: str = "1.250000") -> pl.DataFrame:
    return pl.DataFrame(
        {
            "site_id": ["z1"] * len(meters),
            "meter_id": list(meters),
            "billing_month": [OCTOBER] * len(meters),
            "total": [Decimal(total)] * len(meters),
            "reasons": [["a: one", "b: two"]] * len(meters),
            "period_start_utc": [midnight(OCTOBER, ZURICH)] * len(meters),
            "completeness": [1 / 3] * len(meters),
        },
        schema_overrides={"total": pl.Decimal(18, 6), "period_start_utc": pl.Datetime("us", "UTC")},
    )


def version_of(rows: pl.DataFrame, **changes) -> Version:
    version = Version(
        site_id="z1", billing_month=OCTOBER, version=1, kind="close", closed_at_utc=NOON, closed_by="A", reason=None,
        meters=rows.height, content_hash=content_hash(rows), lake_as_of_utc=NOON - timedelta(hours=3),
        lake_state="l", inputs_digest="i", pipeline_version="0", models_version="m",
        frozen_columns=tuple(rows.columns),
    )  # fmt: skip
    return dataclasses.replace(version, **changes)


@pytest.fixture
def layout(tmp_path) -> Layout:
    return Layout(tmp_path)


def test_a_version_is_read_as_it_was_frozen(layout):
    rows = rows_of("flat", "roof")
    version = version_of(rows)
    path = write_version(layout, version, rows)
    assert path == layout.closed / "site=z1" / "month=2026-10" / "v0001.parquet"
    assert read_versions(layout) == read_versions(layout, "z1", OCTOBER) == [version]
    assert read_rows(layout, version).equals(rows)
    assert [path.name for path in path.parent.iterdir()] == ["v0001.parquet"]


def test_a_frozen_file_is_never_replaced(layout):
    version = version_of(rows_of("flat"))
    path = write_version(layout, version, rows_of("flat"))
    before = path.read_bytes()
    with pytest.raises(LakeError, match="frozen and cannot be replaced"):
        write_version(layout, version, rows_of("flat", total="2"))
    assert path.read_bytes() == before


def test_rows_that_are_not_what_was_frozen_are_refused(layout):
    """Somebody opens the file and mends a number: the bill that it stands for said otherwise."""
    rows = rows_of("flat")
    version = version_of(rows)
    path = write_version(layout, version, rows)
    metadata = pl.read_parquet_metadata(path)
    path.unlink()
    rows_of("flat", total="1.250001").write_parquet(path, metadata={"climkit": metadata["climkit"]})
    with pytest.raises(LakeError, match="not what was frozen"):
        read_rows(layout, version)
    path.write_bytes(b"half a file")
    with pytest.raises(LakeError, match="restore it from a backup"):
        read_versions(layout)


def test_the_hash_is_of_every_cell_and_not_of_their_order():
    rows = rows_of("flat", "roof")
    assert content_hash(rows.reverse().select(sorted(rows.columns))) == content_hash(rows)
    for name, other in (("total", pl.lit(2)), ("completeness", pl.lit(0.5)), ("reasons", pl.lit(["a: one"]))):
        assert content_hash(rows.with_columns(other.cast(rows.schema[name]).alias(name))) != content_hash(rows)


@pytest.mark.parametrize("site_id", ["../../outside", "a/b", ".", "..", "A", "é", "x" * 300, "", "~", "a b", "%2e"])
def test_an_id_is_data_and_never_a_path(layout, site_id):
    rows = rows_of("flat")
    version = version_of(rows, site_id=site_id)
    path = write_version(layout, version, rows)
    assert path.resolve().is_relative_to(layout.closed)
    assert len(path.relative_to(layout.closed).parts) == 3
    assert read_versions(layout, site_id, OCTOBER) == [version]
    folders = {month_folder(layout, other, OCTOBER).parent.name.lower() for other in (site_id, "a", "b", "plain")}
    assert len(folders) == 4  # also where the file system knows no capitals


def test_what_is_closed_is_one_table_whatever_columns_each_version_had(layout):
    old, new = rows_of("flat"), rows_of("flat").with_columns(peak_kw=pl.lit(3.5))
    write_version(layout, version_of(old), old)
    write_version(layout, version_of(new, version=2, kind="settle"), new)
    nothing = pl.DataFrame(schema={"meter_id": pl.String})
    write_version(layout, version_of(nothing, version=3, kind="reopen", reason="why"), nothing)
    tables = closed_tables(layout)
    assert tables["closed_versions"]["kind"].to_list() == ["close", "settle", "reopen"]
    assert tables["closed_rows"].select("version", "total", "peak_kw").rows() == [
        (1, Decimal("1.25"), None),
        (2, Decimal("1.25"), 3.5),
    ]
    assert closed_tables(layout, without=("z1", OCTOBER))["closed_versions"].is_empty()
    digest = versions_digest(layout)
    version_file(layout, version_of(old)).unlink()
    assert versions_digest(layout) != digest


def write_history(layout) -> list[Version]:
    """September closed twice over, October and November once, of one site; and another site's October."""
    rows = rows_of("flat")
    september, november = date(2026, 9, 1), date(2026, 11, 1)
    acts = [("z1", september, 1, "close"), ("z1", OCTOBER, 1, "close"), ("z1", september, 2, "settle"),
            ("k1", OCTOBER, 1, "close"), ("z1", november, 1, "close")]  # fmt: skip
    for site, month, number, kind in acts:
        write_version(layout, version_of(rows, site_id=site, billing_month=month, version=number, kind=kind), rows)
    return read_versions(layout)


def test_each_file_names_the_sites_last_one_before_it(layout):
    """As `sha256sum` writes them, so that anybody can check without this program."""
    versions = {version_file(layout, version).relative_to(layout.closed): version for version in write_history(layout)}
    names = {str(path): [line.split("  ")[1] for line in version.follows] for path, version in versions.items()}
    assert names == {
        "site=k1/month=2026-10/v0001.parquet": [],
        "site=z1/month=2026-09/v0001.parquet": [],
        "site=z1/month=2026-10/v0001.parquet": ["site=z1/month=2026-09/v0001.parquet"],
        "site=z1/month=2026-09/v0002.parquet": ["site=z1/month=2026-10/v0001.parquet"],
        "site=z1/month=2026-11/v0001.parquet": ["site=z1/month=2026-09/v0002.parquet"],
    }
    for version in versions.values():
        for line in version.follows:
            digest, name = line.split("  ")
            assert hashlib.sha256((layout.closed / name).read_bytes()).hexdigest() == digest
    assert check_closed(layout) == "4 closed, 5 versions"


@pytest.mark.parametrize("number", range(3))
def test_a_closed_file_that_is_removed_or_replaced_is_missed_by_those_after_it(layout, number):
    """Removed, the month was open again without a word, or its version before counted; corrections vanished."""
    versions = [version for version in write_history(layout) if version.site_id == "z1"]
    followed = [line.split("  ")[1] for version in versions for line in version.follows]
    path = layout.closed / followed[number]
    other = rows_of("flat", total="7")
    version = next(version for version in versions if version_file(layout, version) == path)
    path.unlink()
    for look in (check_closed, closed_tables):
        with pytest.raises(LakeError, match=f"{path.name} is gone, .*: restore it from a backup"):
            look(layout)
    write_version(layout, dataclasses.replace(version, content_hash=content_hash(other)), other)
    with pytest.raises(LakeError, match=rf"{path.name} is not what was frozen, says .*\.parquet: restore it"):
        check_closed(layout)


def test_files_from_before_the_chain_are_read_and_held_by_the_next_one(layout):
    rows = rows_of("flat")
    paths = [write_version(layout, version_of(rows, billing_month=date(2026, month, 1)), rows) for month in (7, 8, 9)]
    for path in paths:
        metadata = json.loads(pl.read_parquet_metadata(path)["climkit"])
        del metadata["follows"]
        path.unlink()
        rows.write_parquet(path, metadata={"climkit": json.dumps(metadata)})
    assert check_closed(layout) == "3 closed, 3 versions"
    assert closed_tables(layout)["closed_versions"].height == 3
    write_version(layout, version_of(rows), rows)
    assert len(read_versions(layout, "z1", OCTOBER)[0].follows) == 3
    assert check_closed(layout) == "4 closed, 4 versions"
    paths[1].unlink()
    with pytest.raises(LakeError, match=r"month=2026-08/v0001\.parquet is gone"):
        check_closed(layout)


def test_a_closed_file_that_somebody_touched_is_read_again(layout):
    rows = rows_of("flat")
    path = write_version(layout, version_of(rows), rows)
    digest = versions_digest(layout)
    os.utime(path, ns=(0, 0))
    assert versions_digest(layout) != digest


def test_the_last_closed_file_is_missed_by_the_published_warehouse(layout):
    """Nothing came after it that could name it: the month was simply open again at the next refresh."""
    rows = rows_of("flat")
    version = version_of(rows)
    path = write_version(layout, version, rows)
    with duckdb.connect(layout.warehouse) as connection:
        connection.execute("create table billing_closings (site_id text, billing_month date, version integer)")
        connection.execute("insert into billing_closings values ('z1', '2026-10-01', 1)")
    assert check_closed(layout) == "1 closed, 1 versions"
    path.unlink()
    for look in (check_closed, lambda layout: read_inputs(layout, SETTINGS)):
        with pytest.raises(LakeError, match=r"v0001\.parquet is gone, and warehouse\.duckdb holds it: restore it"):
            look(layout)


def test_when_a_correction_was_first_seen_is_kept(layout):
    seen = pl.DataFrame(
        [("z1", OCTOBER, 1, "flat", "total", NOON, 5)],
        schema=["site_id", "billing_month", "version", "meter_id", "quantity", "first_seen_at_utc", "other"],
        orient="row",
    )
    remember_corrections(layout, seen)
    remember_corrections(layout, seen.with_columns(first_seen_at_utc=pl.lit(NOON + timedelta(days=1))))
    remember_corrections(layout, seen.with_columns(quantity=pl.lit("grid")))
    assert read_corrections_seen(layout).sort("quantity").select("quantity", "first_seen_at_utc").rows() == [
        ("grid", NOON),
        ("total", NOON),
    ]


def at(hour: int) -> datetime:
    return datetime(2026, 11, 20, hour, tzinfo=UTC)


@pytest.mark.parametrize(
    ("told", "in_force"),
    [
        (1, [(1, at(8), None, True)]),
        (2, [(1, at(8), at(12), False), (2, at(12), None, True)]),
        (3, [(1, at(8), at(12), False), (2, at(12), at(14), False), (3, at(14), None, False)]),
        (
            4,
            [
                (1, at(8), at(12), False),
                (2, at(12), at(14), False),
                (3, at(14), at(16), False),
                (4, at(16), None, True),
            ],
        ),
    ],
)
def test_each_instant_has_one_version_in_force(told, in_force):
    """The model's own SQL: closed at 10 from data of 8, settled at 12, opened again at 14, closed again at 16."""
    sql = rendered_model("billing_closings")
    nothing = pl.DataFrame(schema={"meter_id": pl.String})
    acts = [("close", 8, 10), ("settle", 11, 12), ("reopen", 11, 14), ("close", 11, 16)]
    versions = [
        version_of(nothing, version=number, kind=kind, lake_as_of_utc=at(as_of), closed_at_utc=at(closed))
        for number, (kind, as_of, closed) in enumerate(acts[:told], 1)
    ]
    with duckdb.connect() as connection:
        connection.execute("set timezone = 'UTC'")
        connection.register("closed_versions", pl.DataFrame([stated_of(version) for version in versions]))
        found = connection.execute(f"select version, valid_from_utc, valid_until_utc, is_closed from ({sql})")
        assert found.fetchall() == in_force


IS_BILLED = "is_billed"
READY = {"ready", "ready_with_estimates"}


def test_what_can_be_closed_is_where_every_billed_meter_is_ready(built):
    grades: dict[tuple[str, date], set[str]] = {}
    for site, month, grade in built.rows(
        f"select site_id, billing_month, grade from billing_monthly where {IS_BILLED}"
    ):
        grades.setdefault((site, month), set()).add(grade)
    expected = sorted(key for key, found in grades.items() if found <= READY)
    assert closable_months(built.layout) == expected
    assert ("k1", OCTOBER) in expected
    assert ("z1", OCTOBER) not in expected


def test_a_month_that_is_not_ready_is_refused_with_every_meter_and_its_reasons(copy):
    published = copy.layout.warehouse.stat().st_mtime_ns
    billed = copy.rows(
        f"""select meter_id, meter_name, grade, reasons from billing_monthly
        where site_id = 'z1' and billing_month = '2026-10-01' and {IS_BILLED} order by meter_id"""
    )
    expected = [
        f"{meter} ({name}) is {grade}: {'; '.join(reasons)}"
        for meter, name, grade, reasons in billed
        if grade not in READY
    ]
    with (
        pytest.raises(WarehouseError) as refused,
        open_closings(copy.layout, SETTINGS) as closings,
    ):
        closings.close("z1", OCTOBER, "A")
    head, *lines = str(refused.value).splitlines()
    assert head == f"2026-10 of Bahnhofstrasse 1 cannot be frozen: {len(expected)} of its billed meters are not ready"
    assert lines == expected
    assert {"gap", "unsplit"} <= {line.partition(" ")[0] for line in lines}
    assert not copy.layout.closed.exists()
    assert copy.layout.warehouse.stat().st_mtime_ns == published


@pytest.mark.parametrize(
    ("site", "month", "error", "words"),
    [
        ("nowhere", OCTOBER, ConfigurationError, "no site 'nowhere'; accepted: k1, z1"),
        ("z1", date(2025, 1, 1), WarehouseError, "has no rows"),
        ("k1", date(2026, 11, 1), WarehouseError, "provisional"),
    ],
)
def test_what_cannot_be_closed_is_named(copy, site, month, error, words):
    with pytest.raises(error, match=words), open_closings(copy.layout, SETTINGS) as closings:
        closings.close(site, month, "A")


def test_what_is_open_can_neither_be_settled_nor_opened(copy):
    with open_closings(copy.layout, SETTINGS) as closings:
        with pytest.raises(WarehouseError, match="not closed, so there is nothing to settle"):
            closings.settle("k1", OCTOBER, "A")
        with pytest.raises(WarehouseError, match="not closed, so it cannot be opened again"):
            closings.reopen("k1", OCTOBER, "A", "why")


def test_nothing_is_closed_before_anything_was_built(layout):
    with pytest.raises(WarehouseError, match="no data yet"), open_closings(layout, SETTINGS):
        pass
    assert list(layout.root.iterdir()) == []


def test_what_is_ready_closes_by_itself_once(copy):
    ready = closable_months(copy.layout)
    with open_refresh(copy.layout, SETTINGS) as refresh:
        closed = close_what_is_ready(refresh, now=lambda: NOON)
        assert [(version.site_id, version.billing_month) for version in closed] == ready
        assert {(version.closed_by, version.closed_at_utc) for version in closed} == {(AUTOMATIC, NOON)}
        assert close_what_is_ready(refresh, now=lambda: NOON) == []
        refresh.publish(None)
    assert copy.rows("select site_id, billing_month from billing_closings where is_closed order by all") == ready
    assert copy.refresh().changes.is_empty  # what closing changed was followed


def test_values_are_known_from_the_call_that_brought_them_until_the_next(built):
    """Against the rows written to the lake: which version of each interval was current at an instant."""
    for instant in (SECOND_FETCH - timedelta(seconds=1), SECOND_FETCH, SECOND_FETCH + timedelta(days=400)):
        truth = {
            (row["site_id"], row["meter_id"], row["interval_start_utc"]): row["total"]
            for (dataset, _), rows in built.lake.rows.items()
            if dataset == "meter_intervals"
            for row in rows
            if row["fetched_at_utc"] <= instant
            and (row["superseded_at_utc"] is None or row["superseded_at_utc"] > instant)
        }
        found = built.rows(
            "select site_id, meter_id, interval_start_utc, total from meter_intervals_as_of(?)", [instant]
        )
        assert {tuple(row[:3]): row[3] for row in found} == truth
        assert len(found) == len(truth)


# --- Laws over drawn histories -------------------------------------------------------------------------------------

QUANTITIES = (
    "total", "solar", "grid", "index_start", "index_end", "index_advance", "export_index_start", "export_index_end",
    "export_index_advance", "grid_import", "grid_export", "storage_charge", "storage_discharge", "peak_kw",
)  # fmt: skip
BILLED = {"total": "billed_total", "solar": "billed_solar", "grid": "billed_grid", "peak_kw": "billed_peak_kw"}
"""What a quantity is called where only a part of it is billed."""
HOURS = timedelta(hours=1)


@dataclasses.dataclass(frozen=True)
class Act:
    """One version of a site's October: what it says differently from the values as they are now."""

    kind: str
    closed_at: datetime
    as_of: datetime
    changes: list[tuple[int, str, Decimal | None]]
    """The number of a meter, a quantity, and what to add to it; None: it was not known."""
    left_out: int
    excluded: int


@st.composite
def acts_on_a_month(draw) -> list[Act]:
    """A month closed, settled, opened and closed again, in any order that is allowed."""
    acts, kind, at = [], "", datetime(2026, 11, 6, tzinfo=UTC)
    change = st.tuples(
        st.integers(0, 9),
        st.sampled_from([*QUANTITIES, *BILLED.values(), "whole_total", "is_billed"]),
        st.sampled_from([None, Decimal("0.000001"), Decimal("-2.5"), Decimal(0)]),
    )
    for may_reopen in draw(st.lists(st.booleans(), max_size=4)):
        kind = "close" if kind in {"", "reopen"} else "reopen" if may_reopen else "settle"
        at += draw(st.integers(1, 60)) * HOURS
        as_of = at - draw(st.integers(0, 20)) * HOURS
        changes = [] if kind == "reopen" else draw(st.lists(change, max_size=4))
        acts.append(Act(kind, at, as_of, changes, *(draw(st.sampled_from([-1, -1, -1, 0, 3])) for _ in range(2))))
    return acts


def frozen_by(act: Act, current: list[dict]) -> list[dict]:
    """The rows that an act freezes, made of the present ones."""
    if act.kind == "reopen":
        return []
    rows = [dict(row) for row in current]
    for number, quantity, by in act.changes:
        row = rows[number % len(rows)]
        if quantity == "is_billed":
            row[quantity] = not row[quantity]
            continue
        for name in ("total", "billed_total") if quantity == "whole_total" else (quantity,):
            row[name] = None if by is None else (row[name] or Decimal(0)) + by
    return [row for number, row in enumerate(rows) if number != act.left_out]


def test_corrections_and_what_was_known_are_those_of_the_version_in_force(copy):
    """A bill, its corrections and the present values: two of them tell the third, for every meter and quantity."""
    with duckdb.connect(copy.layout.warehouse) as connection:
        connection.execute("set timezone = 'UTC'")
        billing = frame_of(connection, "from billing_monthly where billing_month = '2026-10-01' order by all")
        connection.execute("create table corrections_seen as select * from billing_corrections where false")
        current = {
            site: list(rows)
            for site, rows in itertools.groupby(billing.iter_rows(named=True), lambda row: row["site_id"])
        }

        @settings(max_examples=10, deadline=None)
        @given(st.fixed_dictionaries({site: acts_on_a_month() for site in current}), st.integers(0, 20))
        def law(histories, number):
            acts = [act for history in histories.values() for act in history]
            instants = [SECOND_FETCH, *(at for act in acts for at in (act.as_of, act.closed_at - HOURS, act.closed_at))]
            instant = instants[number % len(instants)]
            _close(connection, billing, histories, current)
            _check_corrections(connection, histories, current)
            _check_as_of(connection, copy, histories, current, instant)

        law()


def stated_of(version: Version) -> dict[str, object]:
    """What the models read of a version."""
    return {name: getattr(version, name) for name in VERSIONS_SCHEMA}


def _close(connection, billing, histories, current) -> None:
    """Put drawn versions where the pipeline puts them, and make the models of them."""
    no_lines = pl.lit(None, dtype=ROWS_SCHEMA["lines"])
    versions, frozen = (
        [],
        [billing.clear().with_columns(version=pl.lit(0), was_excluded=False, inputs_hash=pl.lit(""), lines=no_lines)],
    )
    for site, acts in histories.items():
        for number, act in enumerate(acts, 1):
            rows = pl.DataFrame(frozen_by(act, current[site]), schema=billing.schema)
            excluded = rows["meter_id"].to_list()[act.excluded : act.excluded + 1] if act.excluded >= 0 else []
            frozen.append(
                rows.with_columns(
                    version=pl.lit(number),
                    was_excluded=pl.col("meter_id").is_in(excluded),
                    inputs_hash=pl.lit(""),
                    lines=no_lines,
                )
            )
            version = version_of(
                billing.clear(), site_id=site, version=number, kind=act.kind, closed_at_utc=act.closed_at,
                lake_as_of_utc=act.as_of, frozen_columns=tuple(billing.columns),
            )  # fmt: skip
            versions.append(stated_of(version))
    example_of = stated_of(version_of(billing.clear()))
    connection.register("drawn_versions", pl.DataFrame([*versions, example_of | {"site_id": None}]))
    connection.register("drawn_rows", pl.concat(frozen))
    hashes = {name: pl.lit("") for name in ("inputs_hash", "inputs_hash_of_totals")}
    connection.register("drawn_inputs", billing.select("site_id", "meter_id", "billing_month", **hashes))
    connection.execute("""
        create or replace table closed_versions as from drawn_versions where site_id is not null;
        create or replace table closed_rows as from drawn_rows;
        create or replace temp view int_inputs_monthly as from drawn_inputs;
    """)
    stated = {"billing_monthly", "billing_closed", "meter_month_measures", "meter_intervals", "meter_indices",
              "meter_intervals_superseded", "site_intervals", "revisions", "int_inputs_monthly"}  # fmt: skip
    make_tables(connection, "billing_closed_versions", "billing_corrections", given=stated)


def _check_corrections(connection, histories, current) -> None:
    found = {
        (site, meter, quantity): numbers
        for site, meter, quantity, *numbers in connection.execute(
            "select site_id, meter_id, quantity, closed_value, current_value, delta from billing_corrections"
        ).fetchall()
    }
    ((count,),) = connection.execute("select count(*) from billing_corrections").fetchall()
    assert count == len(found)
    expected = {}
    for site, acts in histories.items():
        if not acts or acts[-1].kind == "reopen":
            continue
        rows = frozen_by(acts[-1], current[site])
        excluded = {row["meter_id"] for number, row in enumerate(rows) if number == acts[-1].excluded}
        closed = {row["meter_id"]: row for row in rows if row["meter_id"] not in excluded}
        for row in current[site]:
            frozen = next((then for then in rows if then["meter_id"] == row["meter_id"]), {})
            for quantity in invoiced(frozen, closed.get(row["meter_id"], {}), row):
                was, now = closed.get(row["meter_id"], {}).get(quantity), row[quantity]
                if was != now:
                    # What nobody is billed (an index, a flow, a peak) has no difference that could be added up.
                    is_amount = quantity.removeprefix("billed_") in {"total", "solar", "grid"}
                    expected[site, row["meter_id"], quantity] = [
                        was,
                        now,
                        (now or 0) - (was or 0) if is_amount else None,
                    ]
    assert found == expected


def invoiced(frozen: dict, closed: dict, now: dict) -> list[str]:
    """The quantities that are compared: of a meter that is, or was, billed in part those of that part."""
    is_billed = frozen.get("is_billed") or now["is_billed"]
    is_in_part = is_billed and any(row.get("total") != row.get("billed_total") for row in (closed, now))
    return [BILLED.get(name, name) if is_in_part else name for name in QUANTITIES]


def _check_as_of(connection, built, histories, current, instant) -> None:
    known = frame_of(connection, "from billing_as_of(?) where billing_month = '2026-10-01' order by all", [instant])
    for site, acts in histories.items():
        rows = known.filter(pl.col("site_id") == site).rows(named=True)
        begins = [act.as_of if number == 0 else act.closed_at for number, act in enumerate(acts)]
        in_force = [act for act, begin in zip(acts, begins, strict=True) if begin <= instant]
        if in_force and in_force[-1].kind != "reopen":
            assert sorted(rows, key=by_meter) == sorted(frozen_by(in_force[-1], current[site]), key=by_meter)
            continue
        sums: dict[str, Decimal] = {}
        for (dataset, _), lake_rows in built.lake.rows.items():
            for row in lake_rows if dataset == "meter_intervals" else []:
                if (
                    row["site_id"] == site
                    and row["total"] is not None
                    and local_month(row["interval_start_utc"], ZONES[site]) == OCTOBER
                    and row["fetched_at_utc"] <= instant
                    and (row["superseded_at_utc"] is None or row["superseded_at_utc"] > instant)
                ):
                    sums[row["meter_id"]] = sums.get(row["meter_id"], Decimal(0)) + Decimal(str(row["total"]))
        assert {row["meter_id"]: row["total"] for row in rows} == {
            row["meter_id"]: sums.get(row["meter_id"]) for row in current[site]
        }
        assert {row["grade"] for row in rows} == {None}


def by_meter(row: dict) -> str:
    return row["meter_id"]


# --- Why a closed month differs --------------------------------------------------------------------------------------

OPENING, CLOSING = midnight(OCTOBER, ZURICH), midnight(date(2026, 11, 1), ZURICH)
KNOWN, LATER = NOON - timedelta(days=2), NOON + timedelta(days=2)
"""Before and after the call that the closed month stands on."""
ORDINARY_READINGS = [(OPENING, KNOWN), (CLOSING, KNOWN), (CLOSING + timedelta(days=20), LATER)]


@dataclasses.dataclass
class Changed:
    """One meter's October that was closed: what differs now, and what has come since."""

    quantities: dict[str, int | None]
    """Which quantities differ, and what each is now; all were 1."""
    is_content: bool = False
    inputs: str = "as then"
    inputs_of_totals: str = "as then"
    was_billed: bool = False
    is_billed: bool = False
    frozen: tuple[str, ...] = (*QUANTITIES, *BILLED.values())
    is_excluded: bool = False
    was_excluded: bool = False
    source: str = "site_intervals"
    source_then: str = "site_intervals"
    intervals: list[tuple[date, datetime]] = dataclasses.field(default_factory=list)
    """Of the meter: local day, and when the value came."""
    superseded: list[tuple[date, datetime]] = dataclasses.field(default_factory=list)
    site_intervals: list[tuple[date, str, datetime]] = dataclasses.field(default_factory=list)
    readings: list[tuple[datetime, datetime]] = dataclasses.field(default_factory=lambda: [*ORDINARY_READINGS])
    revised: list[tuple[str, str, datetime]] = dataclasses.field(default_factory=list)
    """Dataset, subject and the start of what was revised later, or withdrawn."""


def corrections_of(changed: Changed) -> dict[str, tuple[int | None, str]]:
    """By quantity the value now and the cause, by the model's own SQL."""

    def table(name: str, columns: str, rows: list[tuple]) -> None:
        connection.execute(f"create table {name} ({columns})")
        marks = ", ".join("?" * (columns.count(",") + 1))
        for row in rows:
            connection.execute(f"insert into {name} values ({marks})", row)

    def day(instant: datetime) -> date:
        return instant.astimezone(ZURICH).date()

    with duckdb.connect() as connection:
        connection.execute("set timezone = 'UTC'")
        columns = """site_id text, site_name text, meter_id text, meter_name text, billing_month date,
            period_start_utc timestamptz, period_end_utc timestamptz, grade text, flow_source text, content_hash text"""
        names = (*QUANTITIES, *BILLED.values())
        quantities = ", ".join(f"{name} integer" for name in names)
        row = ("s", "House", "m", "Flat", OCTOBER, OPENING, CLOSING, "ready")
        now = [changed.quantities.get(name, 1) for name in names]
        content = "other" if changed.is_content else "same"
        table("billing_monthly", columns, [(*row, changed.source, content)])
        table("billing_closed", f"{columns}, inputs_hash text", [(*row, changed.source_then, "same", "as then")])
        of_month = "site_id text, meter_id text, unit text, is_billed boolean"
        table(
            "meter_month_measures", f"{of_month}, period_from date, is_excluded boolean, {quantities}",
            [("s", "m", "kWh", changed.is_billed, OCTOBER, changed.is_excluded, *now)],
        )  # fmt: skip
        table(
            "closed_rows",
            f"{of_month}, billing_month date, version integer, was_excluded boolean, {quantities}",
            [("s", "m", "kWh", changed.was_billed, OCTOBER, 1, changed.was_excluded, *[1] * len(now))],
        )
        table(
            "billing_closings",
            "site_id text, billing_month date, version integer, closed_at_utc timestamptz, lake_as_of_utc timestamptz,"
            " is_closed boolean, frozen_columns text[]",
            [("s", OCTOBER, 1, NOON, NOON - HOURS, True, list(changed.frozen))],
        )
        table(
            "int_inputs_monthly",
            "site_id text, meter_id text, billing_month date, inputs_hash text, inputs_hash_of_totals text",
            [("s", "m", OCTOBER, changed.inputs, changed.inputs_of_totals)],
        )
        table(
            "corrections_seen",
            "site_id text, billing_month date, version integer, meter_id text, quantity text,"
            " first_seen_at_utc timestamptz", [],
        )  # fmt: skip
        of_meter = "site_id text, meter_id text, local_date date, fetched_at_utc timestamptz"
        table("meter_intervals", of_meter, [("s", "m", *row) for row in [(OCTOBER, KNOWN), *changed.intervals]])
        table(
            "meter_intervals_superseded", f"{of_meter}, superseded_at_utc timestamptz",
            [("s", "m", on, KNOWN, at) for on, at in changed.superseded],
        )  # fmt: skip
        table(
            "site_intervals", "site_id text, local_date date, meter_type text, fetched_at_utc timestamptz",
            [("s", *row) for row in changed.site_intervals],
        )  # fmt: skip
        table(
            "meter_indices", f"{of_meter}, read_at_utc timestamptz",
            [("s", "m", day(at - timedelta(seconds=1)), fetched, at) for at, fetched in changed.readings],
        )  # fmt: skip
        table(
            "revisions",
            "dataset text, site_id text, subject_id text, interval_start_utc timestamptz, local_date date,"
            " revised_at_utc timestamptz",
            [(dataset, "s", of, at, day(at - timedelta(seconds=1)), LATER) for dataset, of, at in changed.revised],
        )
        stated = {"billing_monthly", "billing_closed", "billing_closings", "meter_month_measures", "meter_intervals",
                  "meter_intervals_superseded", "site_intervals", "meter_indices", "revisions",
                  "int_inputs_monthly"}  # fmt: skip
        make_tables(connection, "billing_corrections", given=stated)
        rows = connection.execute(
            "select quantity, current_value, cause, first_seen_at_utc from billing_corrections"
        ).fetchall()
    assert {first_seen for _, _, cause, first_seen in rows if cause == "values"} <= {LATER}
    return {quantity: (value, cause) for quantity, value, cause, _ in rows}


LAST = date(2026, 10, 31)
READINGS = "meter_indices"


@pytest.mark.parametrize(
    ("changed", "causes"),
    [
        # The same intervals over other days of service: there were no news of values.
        (Changed({"total": 2, "grid": 3}, is_content=True, inputs="other"), {"decision"}),
        (Changed({"total": 2}, is_content=True, inputs="other", intervals=[(LAST, LATER)]), {"values"}),
        (Changed({"total": None}, is_content=True, superseded=[(LAST, LATER)]), {"values"}),
        (Changed({"peak_kw": 2}, intervals=[(LAST, LATER)]), {"calculation"}),
        (Changed({"total": 2}, is_content=True, intervals=[(date(2026, 11, 1), LATER)]), {"calculation"}),
        (Changed({"total": 2}, is_excluded=True, inputs="other"), {"decision"}),
        # An index at midnight between two readings; readings that come every day tell nothing of it.
        (Changed({"index_end": 2}), {"calculation"}),
        (Changed({"index_end": 2}, inputs="other"), {"decision"}),
        (
            Changed(
                {"index_end": 2, "index_advance": 3},
                readings=[(OPENING, KNOWN), (CLOSING + HOURS, LATER), (CLOSING + 6 * HOURS, KNOWN)],
            ),
            {"values"},
        ),
        (
            Changed(
                {"index_end": 2},
                readings=[(OPENING, KNOWN), (CLOSING + HOURS, KNOWN), (CLOSING + 6 * HOURS, LATER)],
            ),
            {"calculation"},
        ),
        (Changed({"index_start": 2}, readings=[(OPENING - 99 * HOURS, LATER), (CLOSING, KNOWN)]), {"values"}),
        (Changed({"index_start": 2}, readings=[(OPENING - 99 * HOURS, LATER), *ORDINARY_READINGS]), {"calculation"}),
        (Changed({"index_start": 2}, readings=[(OPENING - 1200 * HOURS, LATER), (CLOSING, KNOWN)]), {"calculation"}),
        (Changed({"index_advance": 2}, readings=[*ORDINARY_READINGS, (OPENING + HOURS, LATER)]), {"values"}),
        # Withdrawn: no reading that is there now tells of it.
        (
            Changed(
                {"index_end": None}, revised=[(READINGS, "m", CLOSING)],
                readings=[(OPENING, KNOWN), (CLOSING + 900 * HOURS, KNOWN)],
            ),
            {"values"},
        ),
        (Changed({"index_end": 2}, revised=[(READINGS, "other", CLOSING)]), {"calculation"}),
        (Changed({"index_end": 2}, revised=[("meter_intervals", "m", CLOSING)]), {"calculation"}),
        # What flowed is told by the site's electricity, or by the meter's registers.
        (Changed({"grid_import": 2}, site_intervals=[(LAST, "electricity", LATER)]), {"values"}),
        (Changed({"grid_import": 2}, site_intervals=[(LAST, "electricity", KNOWN)]), {"calculation"}),
        (Changed({"grid_import": 2}, site_intervals=[(LAST, "heating", LATER)]), {"calculation"}),
        (Changed({"grid_export": 2}, revised=[("site_intervals", "electricity", CLOSING - HOURS)]), {"values"}),
        (
            Changed(
                {"grid_import": 2, "grid_export": 3}, source="register",
                revised=[("site_intervals", "electricity", CLOSING - HOURS)],
            ),
            {"values"},
        ),
        (
            Changed(
                {"storage_charge": 2}, source="register", source_then="register",
                site_intervals=[(LAST, "electricity", LATER)],
            ),
            {"calculation"},
        ),
    ],
)  # fmt: skip
def test_the_cause_of_a_correction_is_what_changed(changed, causes):
    """A clerk who is told "values" asks the provider, "decision" a colleague, "calculation" the developer."""
    found = corrections_of(changed)
    expected = dict.fromkeys(QUANTITIES) if changed.is_excluded else changed.quantities
    assert {name: value for name, (value, _) in found.items()} == expected
    assert {cause for _, cause in found.values()} == causes


def test_what_was_excluded_and_still_is_has_no_corrections():
    assert corrections_of(Changed({"total": 2}, is_excluded=True, was_excluded=True)) == {}
    found = corrections_of(Changed({"total": 2}, was_excluded=True, inputs="other"))
    assert found == {name: (2 if name == "total" else 1, "decision") for name in QUANTITIES}


NOT_BILLED = dict.fromkeys(BILLED.values())
REVISED = {"is_content": True, "intervals": [(LAST, LATER)]}


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        # Taken off the bill after closing, or put on it: all that was billed was billed for nothing.
        (Changed(NOT_BILLED, was_billed=True, inputs="other"), dict.fromkeys(NOT_BILLED, (None, "decision"))),
        (Changed({"billed_total": 2}, is_billed=True, inputs="other"), {"billed_total": (2, "decision")}),
        # A day that is not billed was revised: its values are on no bill.
        (Changed({"total": 2, "peak_kw": 3}, was_billed=True, is_billed=True, **REVISED), {}),
        (
            Changed({"total": 2, "billed_total": 3}, was_billed=True, is_billed=True, **REVISED),
            {"billed_total": (3, "values")},
        ),
        # Billed wholly, or not at all.
        (
            Changed({"total": 2, "billed_total": 2}, was_billed=True, is_billed=True, **REVISED),
            {"total": (2, "values")},
        ),
        (Changed({"total": 2} | NOT_BILLED, **REVISED), {"total": (2, "values")}),
        # Closed before there was a column for it, and before is_billed was part of the hash.
        (
            Changed({"total": 2}, was_billed=True, is_billed=True, frozen=QUANTITIES, **REVISED),
            {"total": (2, "values")},
        ),
        (
            Changed({"total": 2}, was_billed=True, is_billed=True, frozen=QUANTITIES, inputs="other"),
            {"total": (2, "calculation")},
        ),
    ],
)  # fmt: skip
def test_a_correction_is_of_what_is_billed(changed, expected):
    """A meter taken off the bill had no correction; a value of a day that nobody was billed for had one."""
    assert corrections_of(changed) == expected


FACT_COLUMNS = (
    "valid_from", "valid_until", "meter_name", "meter_mode", "register_map", "resolution", "installed_on",
    "replaced_at_utc", "in_service_from",
    "in_service_until", "billing_point", "is_billed", "interval_minutes", "note",
)  # fmt: skip


def inputs_of(facts: list[dict] = [], decisions: list[tuple] = [], tolerances: list[tuple] = []) -> str:  # noqa: B006 - read only
    """The hash of a meter's October, by the model's own SQL."""
    with duckdb.connect() as connection:
        connection.execute("set timezone = 'UTC'")
        connection.execute("""
            create table int_meters as select 's' as site_id, 'm' as meter_id;
            create table meter_month_measures as
                select 's' as site_id, 'm' as meter_id, date '2026-10-01' as period_from,
                    date '2026-10-31' as period_until, date '2026-10-01' as first_due_on,
                    date '2026-10-31' as last_due_on, 31 as days_due;
            create table meter_facts (site_id text, meter_id text, valid_from date, valid_until date,
                meter_name text, meter_mode text, register_map text, resolution decimal(18, 6),
                installed_on date, replaced_at_utc timestamptz,
                in_service_from date, in_service_until date, billing_point text, is_billed boolean,
                interval_minutes integer, note text);
            create table decisions (site_id text, meter_id text, check_name text, first_day date,
                last_day date, action text, decided_by text, reason text);
            create table tolerances (check_name text, tolerance decimal(18, 6));
        """)
        for fact in facts:
            row = {"valid_from": date(1900, 1, 1), "valid_until": date(9999, 12, 31), **fact}
            marks = ", ".join("?" * len(FACT_COLUMNS))
            values = [row.get(name) for name in FACT_COLUMNS]
            connection.execute(f"insert into meter_facts values ('s', 'm', {marks})", values)
        for decision in decisions:
            connection.execute("insert into decisions values (?, ?, ?, ?, ?, ?, 'Ada', 'why')", decision)
        for tolerance in tolerances:
            connection.execute("insert into tolerances values (?, ?)", tolerance)
        stated = {"int_meters", "meter_month_measures", "meter_facts", "decisions"}
        make_tables(connection, "int_inputs_monthly", given=stated)
        names = "inputs_hash, inputs_hash_of_totals"
        ((inputs_hash, of_totals),) = connection.execute(f"select {names} from int_inputs_monthly").fetchall()
    is_any_billed = any(fact.get("is_billed") is not None for fact in facts)
    assert is_any_billed or of_totals == inputs_hash
    return inputs_hash


SWAPPED = {"register_map": "swapped"}


@pytest.mark.parametrize(
    ("one", "other", "is_same"),
    [
        ({}, {"tolerances": [("spike", Decimal(9))]}, True),
        ({}, {"decisions": [("s", "m", "spike", OCTOBER, LAST, "accept")]}, True),
        ({}, {"facts": [{"note": "x", "billing_point": "Flat"}]}, True),
        ({}, {"facts": [{"is_billed": False}]}, False),
        ({}, {"facts": [{"is_billed": False, "valid_until": date(2026, 9, 30)}]}, True),
        (
            {"facts": [{"is_billed": False}]},
            {"facts": [{"is_billed": False, "valid_until": date(2026, 10, 30)}]},
            False,
        ),
        ({}, {"facts": [{"installed_on": date(2020, 1, 1), "replaced_at_utc": NOON + timedelta(days=99)}]}, True),
        ({}, {"facts": [{"installed_on": date(2026, 9, 10)}]}, False),
        ({}, {"facts": [{"replaced_at_utc": CLOSING + timedelta(days=5)}]}, False),
        ({}, {"facts": [SWAPPED | {"valid_until": date(2026, 9, 29)}]}, True),
        ({}, {"facts": [SWAPPED | {"valid_until": date(2026, 9, 30)}]}, False),
        ({}, {"facts": [SWAPPED | {"valid_from": date(2026, 11, 1)}]}, True),
        ({"facts": [SWAPPED]}, {"facts": [SWAPPED | {"valid_until": date(2026, 12, 31)}]}, True),
        ({"facts": [SWAPPED]}, {"facts": [SWAPPED | {"valid_until": date(2026, 10, 30)}]}, False),
        ({}, {"decisions": [("s", "m", "spike", LAST, LAST, "exclude")]}, False),
        ({}, {"decisions": [("s", None, "spike", LAST, LAST, "exclude")]}, False),
        ({}, {"decisions": [("s", "other", "spike", LAST, LAST, "exclude")]}, True),
        ({}, {"decisions": [("s", "m", "spike", date(2026, 11, 1), date(2026, 11, 1), "exclude")]}, True),
        (
            {"decisions": [("s", "m", "spike", OCTOBER, LAST, "exclude")]},
            {"decisions": [("s", None, "no_data", date(2026, 1, 1), date(2026, 12, 31), "exclude")]},
            True,
        ),
    ],
)  # fmt: skip
def test_only_what_can_change_a_quantity_of_the_month_is_another_decision(one, other, is_same):
    """An accepted spike made "decision" of every correction that newer models caused."""
    assert (inputs_of(**one) == inputs_of(**other)) is is_same


# --- A month closed and changed, in a real warehouse -----------------------------------------------------------------

CHANGED_AT = AS_OF + timedelta(days=1)
TO_CLOSE = ("in_service", "late", "flow", "export", "excluded", "untouched", "unbilled", "half_billed", "moved")
NOT_READY = ("part_excluded", "pending", "grid_waits", "grid_gap")
METERS_HEADER = "site_id,meter_id,valid_until,in_service_until,is_billed\n"
HALF_BILLED = "half_billed,m,2026-10-10,,false\n"


@dataclasses.dataclass
class Later:
    """A warehouse in which months were closed, and then something changed at each site but one."""

    built: Built
    refused: dict[str, str]
    """What closing said, by site."""


def month_to_close() -> FaultLake:
    """October of one site per case, all of them ready unless they say otherwise."""
    house = FaultLake()
    for site in (*TO_CLOSE, *NOT_READY):
        house.add_site(site)
    for site in ("in_service", "excluded", "untouched", "unbilled", "half_billed", "moved"):
        house.add_meter(site)
    late = house.add_meter("late")
    known = {at: index for at, index in counted(late).items() if at <= hour(31, 6)}
    house.read("late", known | {CLOSING + 6 * HOURS: {"index_import_kwh": 1003 + sum(late.values())}})
    drawn, fed_in = ordinary("drawn"), ordinary("fed in")
    for site in ("flow", "export"):
        house.add_meter(site, "grid", mode="introduction", series=drawn)
    house.add_site_series("flow", grid_import=drawn, grid_export=fed_in)
    exported = counted(fed_in, Decimal(700), "index_export_kwh")
    house.read("export", {at: row | exported[at] for at, row in counted(drawn).items()}, "grid")
    gap = without(ordinary("part_excluded"), span(hour(20, 0), 30))
    house.add_meter("part_excluded", series=gap, states={20: "gap", 21: "gap"})
    house.add_meter("pending", states={9: "pending"})
    house.add_meter("grid_waits", "grid", mode="introduction", states={9: "pending"})
    house.add_meter("grid_gap", "grid", mode="introduction", series=gap, states={20: "gap", 21: "gap"})
    return house


def change(house: FaultLake, layout: Layout) -> None:
    """What the provider and the clerk say a day after the months were closed."""

    def row(dataset: str, on: date, site: str, number: int) -> dict:
        return [row for row in house.lake.rows[dataset, on] if row["site_id"] == site][number]

    on, last, next_day = date(2026, 10, 20), date(2026, 10, 31), date(2026, 11, 1)
    house.lake.revise("site_intervals", on, row("site_intervals", on, "flow", 3), CHANGED_AT, grid_import=7.5)
    known = row("meter_intervals", on, "excluded", 3)
    house.lake.revise("meter_intervals", on, known, CHANGED_AT, total=known["total"] + 1, grid=known["grid"] + 1)
    reading = next(row for row in house.lake.rows["meter_indices", last] if row["read_at_utc"] == CLOSING)
    assert reading["site_id"] == "export"
    more = reading["index_export_kwh"] + 2
    house.lake.revise("meter_indices", last, reading, CHANGED_AT, index_export_kwh=more)
    total = float(1001 + house.total("late"))
    house.lake.add(
        "meter_indices", next_day, site_id="late", meter_id="m", read_at_utc=CLOSING + HOURS, index_import_kwh=total,
        fetched_at_utc=CHANGED_AT,
    )  # fmt: skip
    unbilled_day = date(2026, 10, 10)
    known = row("meter_intervals", unbilled_day, "half_billed", 3)
    house.lake.revise("meter_intervals", unbilled_day, known, CHANGED_AT, total=1.5, grid=1.5)
    touched = [("site_intervals", on), ("meter_intervals", on), ("meter_indices", last), ("meter_indices", next_day),
               ("meter_intervals", unbilled_day)]  # fmt: skip
    for covered in house.lake.coverage["meter_intervals", on]:
        if covered["site_id"] == "untouched":
            covered["last_asked_at_utc"] = CHANGED_AT
    house.lake.write(layout, only=touched)
    (layout.config / "occupancies.csv").write_text(OCCUPANCIES.format(last="19.10.2026", first="2026-10-20"))
    (layout.config / "meters.csv").write_text(
        f"{METERS_HEADER}{HALF_BILLED}in_service,m,,2026-10-30,\nunbilled,m,,,false\n"
    )


OCCUPANCIES = "site,billing_point,occupant,from,until\nmoved,m,Ada,,{last}\nmoved,m,Bob,{first},\n"


@pytest.fixture(scope="module")
def later(tmp_path_factory) -> Later:
    layout = Layout(tmp_path_factory.mktemp("later") / "data")
    house = month_to_close()
    house.write(layout)
    layout.config.mkdir()
    (layout.config / "meters.csv").write_text(METERS_HEADER + HALF_BILLED)
    (layout.config / "decisions.csv").write_text(
        "check,site_id,meter_id,from,to,action,who,why\n"
        "missing_intervals,excluded,m,2026-10-01,2026-10-31,exclude,Ada,paid by the owner\n"
        "missing_intervals,part_excluded,m,2026-10-03,2026-10-03,exclude,Ada,moved in on the 4th\n"
        "pending,pending,m,2026-10-01,2026-10-31,accept,Ada,never mind\n"
    )
    (layout.config / "occupancies.csv").write_text(OCCUPANCIES.format(last="14.10.2026", first="2026-10-15"))
    refresh(layout, SETTINGS)
    refused = {}
    with open_closings(layout, SETTINGS, now=lambda: AS_OF + HOURS) as closings:
        for site in (*TO_CLOSE, *NOT_READY):
            try:
                closings.close(site, MONTH, "Ada")
            except WarehouseError as error:
                refused[site] = str(error)
    change(house, layout)
    built = Built(layout, lambda: house.lake, refresh(layout, SETTINGS))
    return Later(built, refused)


@pytest.mark.story
def test_a_month_with_one_excluded_day_still_has_to_be_ready(later):
    assert set(later.refused) == set(NOT_READY)
    assert later.refused["part_excluded"].splitlines() == [
        "2026-10 of House part_excluded cannot be frozen: 1 of its billed meters is not ready",
        "m (part_excluded m) is blocked: excluded: 1 of 31 days, moved in on the 4th (Ada); missing_intervals: "
        "30 intervals that were asked for did not come, on 2 days from 2026-10-20 to 2026-10-21",
    ]


@pytest.mark.story
@pytest.mark.parametrize(
    ("site", "line"),
    [
        ("grid_waits", "grid (grid_waits grid) is provisional: pending: asked for too early, on 2026-10-09"),
        (
            "grid_gap",
            "grid (grid_gap grid) is blocked: missing_intervals: 30 intervals that were asked for did not come, on 2 "
            "days from 2026-10-20 to 2026-10-21",
        ),
    ],
)
def test_a_site_without_a_billed_meter_is_closed_only_if_none_of_its_meters_waits(later, site, line):
    """Nobody had to be ready, so a month was frozen that was still running, or full of holes."""
    assert later.refused[site].splitlines() == [
        f"2026-10 of House {site} cannot be frozen: 1 of its meters, none of which is billed, is not ready",
        line,
    ]


@pytest.mark.story
def test_a_month_that_waits_is_never_said_to_be_accepted(later):
    """The reason named who accepted it, and the month waited all the same."""
    ((grade, reasons),) = later.built.rows("select grade, reasons from billing_monthly where site_id = 'pending'")
    assert grade == "provisional"
    assert reasons == ["pending: asked for too early, on 2026-10-09"]
    assert later.built.rows(
        "select accepted_by from data_quality_monthly where check_name = 'pending' and site_id = 'pending'"
    ) == [(None,)]


@pytest.mark.story
def test_corrections_say_what_changed_in_a_real_warehouse(later):
    found = later.built.rows("select distinct site_id, quantity, cause from billing_corrections order by all")
    assert {(site, cause) for site, _, cause in found} == {
        ("in_service", "decision"), ("late", "values"), ("flow", "values"), ("export", "values"),
        ("unbilled", "decision"),
    }  # fmt: skip
    assert {quantity for site, quantity, _ in found if site in {"flow", "export"}} == {
        "grid_import", "export_index_end", "export_index_advance", "grid_export",
    }  # fmt: skip


@pytest.mark.story
def test_what_is_frozen_and_corrected_is_what_is_billed(later):
    """Taken off the bill, a closed meter had no correction; a value of a day on nobody's bill had one."""
    stated = month_to_close()
    assert later.built.rows(
        "select site_id, billed_total from billing_closed where site_id in ('unbilled', 'half_billed') order by all"
    ) == [("half_billed", stated.total("half_billed", first=11)), ("unbilled", stated.total("unbilled"))]
    found = later.built.rows(
        "select quantity, closed_value, current_value from billing_corrections where site_id = 'unbilled'"
    )
    assert [row[0] for row in found] == ["billed_total", "billed_solar", "billed_grid", "billed_peak_kw"]
    assert found[0] == ("billed_total", stated.total("unbilled"), None)
    units = dict(later.built.rows("select quantity, unit from billing_corrections where site_id = 'unbilled'"))
    assert units == dict.fromkeys(units, "kWh") | {"billed_peak_kw": "kW"}
    ((_, _, (reason,)),) = later.built.rows(
        "select site_id, grade, reasons from billing_monthly where site_id = 'unbilled'"
    )
    assert f"billed_peak_kw {found[-1][1].normalize():f} kW (now nothing)" in reason
    grades = "select site_id, grade from billing_monthly where site_id in ('unbilled', 'half_billed') order by all"
    assert later.built.rows(grades) == [("half_billed", "ready"), ("unbilled", "blocked")]


@pytest.mark.story
def test_a_closed_month_has_changed_if_and_only_if_it_has_corrections(later):
    """Flows and indices were corrections without a word on the bill; what is excluded had changed without one."""
    changed = later.built.rows(
        "select site_id, meter_id from data_quality_monthly where check_name = 'changed_after_closing' and not passed"
        " order by all"
    )
    assert changed == later.built.rows(
        "select site_id, meter_id from billing_corrections union"
        " select site_id, meter_id from billing_line_corrections order by all"
    )
    reasons = dict(later.built.rows("select site_id, reasons from billing_monthly where grade = 'blocked'"))
    before, after = later.built.rows(
        "select closed_value, current_value from billing_corrections where site_id = 'flow'"
    )[0]
    assert reasons["flow"] == [
        f"changed_after_closing: the month was closed with grid_import {before.normalize():f} kWh "
        f"(now {after.normalize():f} kWh):"
        " settle it and bill the correction"
    ]
    assert "excluded" not in reasons
    assert "untouched" not in reasons


def moved_by_five_days() -> list[tuple]:
    """What a move on the 20th instead of the 15th changes for both occupants."""
    stated = month_to_close()
    days = stated.total("moved", first=15, last=19)
    ada, bob = stated.total("moved", last=14), stated.total("moved", first=15)
    open_yet = (1, None, None, None)
    return [("Ada", ada, ada + days, days, *open_yet), ("Bob", bob, bob - days, -days, *open_yet)]


def line_corrections(later) -> list[tuple]:
    return later.built.rows(
        "select occupant, closed_value, current_value, delta, version, settled_version, settled_by, settled_why"
        " from billing_line_corrections where site_id = 'moved' and quantity = 'total' order by occupant"
    )


@pytest.mark.story
def test_a_date_that_is_moved_after_closing_is_a_correction_for_two_occupants(later):
    """The meter measured the same, so nothing differed; and whoever had moved in paid for the other."""
    assert line_corrections(later) == moved_by_five_days()
    assert later.built.rows("select distinct cause from billing_line_corrections where site_id = 'moved'") == [
        ("decision",)
    ]
    ((grade, (reason,)),) = later.built.rows("select grade, reasons from billing_monthly where site_id = 'moved'")
    assert grade == "blocked"
    assert "for Ada" in reason
    assert "for Bob" in reason


@pytest.mark.story
def test_a_settled_month_is_ready_again(later):
    with open_closings(later.built.layout, SETTINGS, now=lambda: CHANGED_AT + HOURS) as closings:
        closings.settle("flow", MONTH, "Ada")
        closings.settle("export", MONTH, "Ada")
        closings.settle("moved", MONTH, "Ada", "moved on the 20th")
        with pytest.raises(WarehouseError, match="has no corrections"):
            closings.settle("excluded", MONTH, "Ada")
    assert later.built.rows(
        "select distinct site_id, grade from billing_monthly where site_id in ('flow', 'export', 'moved') order by all"
    ) == [("export", "ready"), ("flow", "ready"), ("moved", "ready")]
    # What was settled stays.
    assert line_corrections(later) == [(*row[:5], 2, "Ada", "moved on the 20th") for row in moved_by_five_days()]
    assert read_versions(later.built.layout, "moved", MONTH)[0].user_files["occupancies.csv"] == OCCUPANCIES.format(
        last="14.10.2026", first="2026-10-15"
    )


def sheets_of(path: Path) -> dict[str, list[list]]:
    """The rows of every sheet, as another library than the one that wrote them reads them."""
    book = CalamineWorkbook.from_path(path)
    return {name: book.get_sheet_by_name(name).to_python(skip_empty_area=False) for name in book.sheet_names}


@pytest.mark.story
def test_the_bill_of_a_closed_month_is_its_frozen_lines_with_what_was_corrected(later, tmp_path):
    """After the test that settles: Ada has five days more than were closed first, and Bob has them less."""
    output = tmp_path / "bill.xlsx"
    export_bill(later.built.layout.warehouse, MONTH, "xlsx", output, sites=["moved", "untouched"], language="de")
    sheets = sheets_of(output)
    assert list(sheets) == ["Übersicht", "House moved", "House untouched", "Details", "Korrekturen", "Legende"]
    stated = month_to_close()
    ada, bob = stated.total("moved", last=19), stated.total("moved", first=20)

    header, first, second, total = sheets["House moved"][2:]
    assert len(header) <= 14
    assert header[:6] == ["Wohnung", "Bewohner", "Von", "Bis", "Medium", "Total"]
    of = {name: header.index(name) for name in header}
    days = [(date(2026, 10, 1), date(2026, 10, 19)), (date(2026, 10, 20), date(2026, 10, 31))]
    assert [(row[of["Bewohner"]], (row[of["Von"]], row[of["Bis"]])) for row in (first, second)] == [
        ("Ada", days[0]), ("Bob", days[1]),
    ]  # fmt: skip
    assert [round(row[of["Total"]], 6) for row in (first, second, total)] == [float(ada), float(bob), float(ada + bob)]
    assert first[of["Stand neu"]] == second[of["Stand alt"]]
    assert {row[of["Status"]] for row in (first, second)} == {"verrechenbar"}
    assert [first[of["Bemerkung"]], first[of["Einheit"]]] == ["", "kWh"]

    said = {row[0]: row[1] for row in sheets["Übersicht"][2:5]}
    assert said["Monat"] == "Oktober 2026"
    assert said["House moved"].startswith("abgeschlossen als Version 2 von Ada am ")
    assert "abgeschlossen als Version 1 von Ada am " in said["House untouched"]
    (sums,) = (row for row in sheets["Übersicht"] if row[:2] == ["House moved", "Strom"])
    assert sums[-2:] == ["ja", "ja"]

    corrections = [dict(zip(sheets["Korrekturen"][2], row, strict=True)) for row in sheets["Korrekturen"][3:]]
    moved = stated.total("moved", first=15, last=19)
    assert [
        (row["Bewohner"], round(row["Differenz"], 6), row["Bereinigt mit Version"], row["Bereinigt von"], row["Grund"])
        for row in corrections
        if row["Grösse"] == "Total"
    ] == [
        ("Ada", float(moved), 2, "Ada", "moved on the 20th"), ("Bob", -float(moved), 2, "Ada", "moved on the 20th"),
    ]  # fmt: skip
    assert not [cell for rows in sheets.values() for row in rows for cell in row if str(cell).startswith(("[", "{"))]


@pytest.mark.story
@pytest.mark.parametrize(("language", "decimal"), [("fr", ","), ("de", ".")])
def test_the_bill_as_csv_is_read_in_french_and_in_german(later, tmp_path, language, decimal):
    output = tmp_path / "bill.csv"
    export_bill(later.built.layout.warehouse, MONTH, "csv", output, sites=["moved"], language=language)
    assert output.read_bytes().startswith(b"\xef\xbb\xbf")
    rows = list(csv.DictReader(output.read_text(encoding="utf-8-sig").splitlines(), delimiter=";"))
    stated = month_to_close()
    locale = Locale.parse(f"{language}_CH")
    assert [parse_decimal(row["Total"], locale=locale, strict=True) for row in rows] == [
        round(stated.total("moved", last=19), 3), round(stated.total("moved", first=20), 3),
    ]  # fmt: skip
    assert all(decimal in row["Total"] for row in rows)
    assert [row[{"fr": "Du", "de": "Von"}[language]] for row in rows] == ["01.10.2026", "20.10.2026"]


@pytest.mark.story
def test_an_open_month_says_so_on_every_line_and_plain_csv_is_for_programs(later, tmp_path):
    output = tmp_path / "bill.csv"
    export_bill(later.built.layout.warehouse, MONTH, "csv-plain", output, sites=["pending"], language="en")
    (row,) = csv.DictReader(output.read_text(encoding="utf-8").splitlines())
    assert (row["from"], row["total"], row["state"]) == ("2026-10-01", "", "provisional")
    assert row["remark"] == "The month is open: values may still change. | Asked for too early, on 2026-10-09"


@pytest.mark.story
def test_a_version_stands_on_the_last_call_about_its_own_site(later):
    """Another site's later call counted, and answers received before it, but committed later, were never news."""
    with open_closings(later.built.layout, SETTINGS, now=lambda: CHANGED_AT + HOURS) as closings:
        late = closings.settle("late", MONTH, "Ada")
        untouched = closings.reopen("untouched", MONTH, "Ada", "why")
    assert (late.lake_as_of_utc, untouched.lake_as_of_utc) == (AS_OF, CHANGED_AT)
