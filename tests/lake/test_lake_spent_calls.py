"""What calls were for, also where a file is from before that was noted."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import polars as pl

from climkit_pipeline.lake import journals
from climkit_pipeline.lake.layout import Layout
from climkit_pipeline.lake.parquet import write_parquet
from climkit_pipeline.lake.schemas import API_CALLS
from climkit_pipeline.lake.spent_calls import calls_by_purpose

AT = datetime(2026, 11, 20, 6, 30, tzinfo=UTC)


def call(sequence, at, **values):
    return dict.fromkeys(API_CALLS.columns) | {"run_id": "r", "sequence": sequence, "started_at_utc": at} | values


def test_calls_are_counted_by_purpose_and_older_files_have_none(tmp_path):
    layout = Layout(tmp_path)
    older = pl.DataFrame([call(1, AT, window_start_utc=AT), call(2, AT)], schema=API_CALLS.columns).drop("purpose")
    write_parquet(layout.data_file("api_calls", AT.date()), older)
    rows = [call(number, AT, purpose="daily", window_start_utc=AT) for number in range(3, 7)]
    journals.append(layout, API_CALLS, rows)
    journals.append(layout, API_CALLS, [call(9, AT + timedelta(days=1), purpose="audit")])
    journals.append(layout, API_CALLS, [call(10, AT - timedelta(days=40), purpose="audit")])
    assert calls_by_purpose(layout, AT - timedelta(days=30), 900.0).rows() == [
        ("daily", 4, 1.0),
        ("audit", 1, 0.25),
        ("log-in and lists", 1, 0.25),
        ("not noted", 1, 0.25),
    ]
