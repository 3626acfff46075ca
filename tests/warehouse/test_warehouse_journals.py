"""What happened, as analysts see it: revisions, calls, findings."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime, timedelta

import pytest
from built_warehouse import Built
from small_lake import FIRST_FETCH, GAP_DAY, SECOND_FETCH, build_small_lake

from climkit_pipeline.lake import journals
from climkit_pipeline.lake.layout import Layout
from climkit_pipeline.lake.schemas import API_CALLS, FINDINGS

THIRD_FETCH = SECOND_FETCH + timedelta(days=1)


def flat_rows(built):
    rows = [row for row in built.lake.rows["meter_intervals", GAP_DAY] if row["meter_id"] == "flat"]
    return [row for row in rows if row["superseded_at_utc"] is None]


def test_a_new_value_is_a_revision_and_new_unknown_fields_are_none(built):
    """The lake keeps both as versions; only one of them changes a bill."""
    where = "where subject_id = 'flat' and local_date = ? and quantity = 'total'"
    [row] = built.rows(f"select * exclude (old_value) from revisions {where}", [GAP_DAY])
    [(old,)] = built.rows(f"select old_value from revisions {where}", [GAP_DAY])
    [was] = [row for row in built.lake.rows["meter_intervals", GAP_DAY] if row["superseded_at_utc"] and not row["extra"]
             and row["meter_id"] == "flat" and row["total"] == old]  # fmt: skip
    start = was["interval_start_utc"]
    assert row == (
        "meter_intervals", "z1", "flat", start, start + timedelta(minutes=15), "total", 7.5, "changed", FIRST_FETCH,
        SECOND_FETCH, GAP_DAY,
    )  # fmt: skip


@pytest.fixture(scope="module")
def later(built, tmp_path_factory) -> tuple[Built, dict[str, dict]]:
    """The lake after changes of every kind, and the rows that changed."""
    layout = Layout(tmp_path_factory.mktemp("later") / "data")
    shutil.copytree(built.layout.root, layout.root)
    copy = Built(layout, build_small_lake)
    lake = copy.lake
    nulled, withdrawn, back, *_ = flat_rows(copy)[20:]
    changed = {name: dict(row) for name, row in (("nulled", nulled), ("withdrawn", withdrawn), ("back", back))}
    values = {name: nulled[name] for name in ("total", "solar", "grid")}
    empty = lake.revise("meter_intervals", GAP_DAY, nulled, at=SECOND_FETCH, total=None, solar=None, grid=None)
    lake.revise("meter_intervals", GAP_DAY, empty, at=THIRD_FETCH, **values)
    withdrawn["superseded_at_utc"] = back["superseded_at_utc"] = SECOND_FETCH
    lake.add("meter_intervals", GAP_DAY, **{**back, "fetched_at_utc": THIRD_FETCH, "superseded_at_utc": None})
    (dataset, day), rows = next((key, rows) for key, rows in lake.rows.items() if key[0] == "site_intervals")
    lake.revise(dataset, day, rows[3], consumption=1.0, production=rows[3]["production"])
    readings = lake.rows["meter_indices", GAP_DAY]
    lake.revise("meter_indices", GAP_DAY, readings[0], index_import_kwh=5.0)
    changed["reading"] = dict(readings[0])
    lake.write(layout, only=[("meter_intervals", GAP_DAY), (dataset, day), ("meter_indices", GAP_DAY)])
    journals.append(layout, API_CALLS, [call(1, LATE, rows=2976, bytes=300_000, status=200)])
    journals.append(layout, FINDINGS, [FINDING])
    copy.refresh()
    return copy, changed


def test_nulled_filled_and_withdrawn_values_are_told_apart(later):
    """A value that is gone looks like one that was never there."""
    copy, changed = later

    def told(name):
        return copy.rows(
            """select kind, old_value, new_value, revised_at_utc from revisions
            where quantity = 'total' and interval_start_utc = ? and subject_id = 'flat' order by revised_at_utc""",
            [changed[name]["interval_start_utc"]],
        )

    total = changed["nulled"]["total"]
    assert told("nulled") == [("nulled", total, None, SECOND_FETCH), ("filled", None, total, THIRD_FETCH)]
    assert told("withdrawn") == [("withdrawn", changed["withdrawn"]["total"], None, SECOND_FETCH)]
    back = [("withdrawn", changed["back"]["total"], None, SECOND_FETCH)]
    assert told("back") == back, "its return is a first value again"


def test_registers_and_site_series_have_revisions_too(later):
    copy, changed = later
    found = copy.rows(
        """select dataset, subject_id, quantity, new_value from revisions where dataset <> 'meter_intervals'
        order by dataset"""
    )
    assert found == [
        ("meter_indices", changed["reading"]["meter_id"], "index_import_kwh", 5.0),
        ("site_intervals", "electricity", "consumption", 1.0),
    ]


def call(sequence: int, at: datetime, **values: object) -> dict[str, object]:
    row = dict.fromkeys(API_CALLS.columns) | {"run_id": "r1", "sequence": sequence, "started_at_utc": at}
    return row | {"endpoint": "meter_data", "attempt": 1, "outcome": "ok", **values}


LATE = datetime(2026, 11, 20, 23, 59, tzinfo=UTC)
FINDING = {
    "found_at_utc": LATE,
    "code": "duplicate_rows",
    "dataset": "meter_intervals",
    "site_id": "z1",
    "subject_id": "flat",
    "first_day": GAP_DAY,
    "last_day": GAP_DAY,
    "occurrences": 2,
    "samples": [f"{GAP_DAY}T10:00:00+00:00", f"{GAP_DAY}T10:15:00+00:00"],
}


def test_calls_and_findings_follow_the_lake(later):
    """A day of calls grows with every commit; what was there must not be doubled."""
    copy, _ = later
    assert copy.rows("select sequence, rows_received, bytes_received, status, utc_date from api_calls") == [
        (1, 2976, 300_000, 200, LATE.date())
    ]
    assert copy.rows("select * exclude (utc_date) from findings") == [tuple(FINDING.values())]
    next_day = LATE + timedelta(minutes=2)
    journals.append(copy.layout, API_CALLS, [call(1, LATE), call(2, LATE), call(3, next_day, outcome="ReadTimeout")])
    copy.refresh()
    assert copy.rows("select sequence, outcome, utc_date from api_calls order by sequence") == [
        (1, "ok", LATE.date()),
        (2, "ok", LATE.date()),
        (3, "ReadTimeout", next_day.date()),
    ]
