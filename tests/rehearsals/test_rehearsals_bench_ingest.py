from __future__ import annotations

from datetime import date

from bench_ingest import bench, page


def test_the_benchmark_runs_and_all_three_get_the_same_calls(tmp_path):
    """A benchmark that nobody runs is broken on the day that somebody wants it; times are not asserted."""
    found = bench(tmp_path, meters=2, days=3, month_sites=1, rounds=1)
    assert {cost.calls for cost in found.costs.values()} == {2}
    assert found.rows == 2 * (3 * 96)
    assert "times the script" in page(found, date(2026, 11, 1))
