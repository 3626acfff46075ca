"""The ledger of calls: what the server saw is what the lake says, whatever came of it."""

from __future__ import annotations

from datetime import date, datetime, timedelta

import polars as pl
import pytest
from ingest_bench import ENDPOINTS, NOW, read_lake

from climkit_pipeline.errors import ApiUnavailableError
from climkit_pipeline.ingest.landing import LandingFolder
from climkit_pipeline.simulator import Fault

JUNE = (date(2026, 6, 1), date(2026, 6, 30))
PAIR = {"sites": 1, "meters": 2}


def ledger(bench) -> pl.DataFrame:
    return read_lake(bench.data_dir, "api_calls", "data").sort("run_id", "sequence")


def findings(bench) -> pl.DataFrame:
    return read_lake(bench.data_dir, "findings", "data").filter(pl.col("day").is_not_null())


def test_every_attempt_that_the_server_saw_is_a_row(bench, faults):
    """A call that was repeated eight times looks like one where only answers are kept."""
    one = bench(world=PAIR)
    faults.add(lambda request: request.endpoint == "meter_data", Fault("status", status=503), times=2)
    faults.add(lambda request: request.endpoint == "meter_data_raw", Fault("reset"), times=1)
    one.run(*JUNE)
    rows, seen = ledger(one), one.server.calls
    assert rows["endpoint"].to_list() == [call.endpoint for call in seen]
    assert rows["sequence"].to_list() == list(range(1, len(seen) + 1))
    assert rows.filter(outcome="ok").height == len(seen) - 3
    refused = rows.filter(status=503)
    assert refused["attempt"].to_list() == [1, 2]
    assert refused["outcome"].unique().to_list() == ["ApiUnavailable"]
    assert rows.filter(outcome="RemoteProtocolError")["status"].to_list() == [None]
    assert set(rows["day"]) == {NOW.date()}, "filed under the UTC day of the call"


def test_a_row_tells_window_size_rows_and_hash_of_the_answer(bench):
    one = bench(world=PAIR)
    one.run(*JUNE, datasets=("meter_intervals",))
    rows = ledger(one).filter(endpoint="meter_data")
    assert rows.height == 2
    for row in rows.iter_rows(named=True):
        assert row["window_end_utc"] - row["window_start_utc"] == timedelta(days=30, minutes=90 + 15)
        assert row["rows"] in {30 * 96 + 6 + more for more in range(3)}, "whatever bounds the server includes"
        assert row["bytes"] > 50_000
        assert len(row["sha256"]) == 64
        assert row["status"] == 200
        assert row["duration_seconds"] >= 0
    assert rows["subject_id"].to_list() == [meter.id for meter in one.world.sites[0].meters]
    assert ledger(one).filter(endpoint="auth")["sha256"].to_list() == [None], "that answer holds a token"


def test_the_log_in_and_the_listings_before_a_run_are_rows_of_it(bench):
    """They are made before the run has a folder to keep them in."""
    one = bench(world=PAIR)
    one.ingestion = one.new_ingestion()
    one.ingestion.open_account()
    assert not list(one.data_dir.glob("lake/api_calls/day=2*"))
    one.ingestion.keep_calls()
    assert ledger(one)["endpoint"].to_list() == ["auth", "all_installations"]
    one.ingestion.keep_calls()
    assert ledger(one).height == 2
    assert one.landed() == []


def test_a_run_that_is_stopped_leaves_its_attempts_to_the_next(bench, faults):
    """The attempts of a run that failed are what a person wants to see."""
    one = bench(world=PAIR)
    one.run(JUNE[0], datasets=("meters",))
    before = ledger(one).height
    one.ingestion = one.new_ingestion()
    one.ingestion.listings(one.ingestion.open_account())
    running = one.server.base_url
    one.ingestion.client.base_url = "http://127.0.0.1:9"
    with pytest.raises(ApiUnavailableError):
        one.run_with(one.ingestion, *JUNE, datasets=("meter_intervals",))
    one.ingestion.client.base_url = running
    one.run(JUNE[0], datasets=("meters",))
    kept = ledger(one)
    assert kept.height > before + 8
    assert "ConnectError" in set(kept["outcome"])


def test_the_counts_of_a_process_are_those_of_its_ledger(bench, faults):
    one = bench(world=PAIR)
    faults.add(lambda request: request.endpoint == "meter_data", Fault("status", status=503), times=2)
    one.run(*JUNE)
    counts, rows = one.ingestion.ledger.counts, ledger(one)
    series = rows.with_row_index("at").filter(pl.col("endpoint").is_in(list(ENDPOINTS)))
    assert counts.attempts == rows.height
    assert counts.series_attempts == series.height
    assert (counts.retries, counts.failed_attempts) == (2, 2)
    assert counts.between_series == series["at"][-1] - series["at"][0]
    seconds = (series["started_at_utc"][-1] - series["started_at_utc"][0]).total_seconds()
    assert counts.share_of_slots(2.0) == pytest.approx(counts.between_series / seconds / 2)


def test_what_was_odd_in_answers_is_a_row_with_counts_and_samples(bench, faults):
    """A warning in a log is gone when the bill is disputed."""
    one = bench(world=PAIR)
    meter = one.world.sites[0].meters[0].id

    def doubled(rows):
        return [*rows, rows[100], {**rows[200], "total": 99.0}]

    faults.add(
        lambda request: request.endpoint == "meter_data" and request.subject == meter, Fault("rewrite", rewrite=doubled)
    )
    one.run(*JUNE, datasets=("meter_intervals",))
    found = findings(one).sort("code")
    assert found["code"].to_list() == ["conflicting_rows", "duplicate_rows"]
    assert found["occurrences"].to_list() == [1, 1]
    assert found["subject_id"].unique().to_list() == [meter]
    assert [len(samples) for samples in found["samples"]] == [1, 1]
    assert all(datetime.fromisoformat(at).month == 6 for samples in found["samples"] for at in samples)
    assert found["first_day"].to_list() == [JUNE[0]] * 2


def test_committing_twice_adds_no_row(bench, monkeypatch):
    """A process that dies after the commit and before its landing is emptied has it committed again."""
    one = bench(world=PAIR)
    monkeypatch.setattr(LandingFolder, "clear", lambda self: None)
    one.run(*JUNE, datasets=("meter_intervals",))
    monkeypatch.undo()
    seen = len(one.server.calls)
    assert ledger(one).height == seen
    assert one.landed() != []
    one.run(*JUNE, datasets=("meter_intervals",))
    assert ledger(one).height == len(one.server.calls)
