"""A site that leaves the account's listing: said once, kept whole, asked no more, and noticed when it returns."""

from __future__ import annotations

from datetime import date, timedelta

import polars as pl
from ingest_bench import read_lake

from climkit_pipeline.simulator import Fault

DAYS = (date(2026, 6, 1), date(2026, 6, 1))


def news(bench) -> list[tuple]:
    rows = read_lake(bench.data_dir, "findings", "data").filter(pl.col("code").str.starts_with("site_"))
    return rows.sort("found_at_utc").select("code", "site_id").rows()


def test_a_site_that_leaves_is_said_once_and_noticed_when_it_returns(bench, faults, clock):
    """Nobody was told: its months stayed green, and its tenants were not billed."""
    one = bench()
    gone, stays = (site.site_id for site in one.world.sites)
    report = one.run(*DAYS)
    assert (report.news, news(one)) == ([], [])
    history = one.versions("meter_intervals")

    unlisted = Fault("rewrite", rewrite=lambda rows: [row for row in rows if gone not in str(row)])
    faults.add(lambda request: request.endpoint == "all_installations", unlisted)
    clock.at += timedelta(days=1)
    report, calls = one.run_counted(*DAYS, refetch=True)
    (finding,) = report.news
    assert finding.code == "site_vanished"
    assert finding.samples == (f"{one.world.sites[0].name}, last listed {clock.at - timedelta(days=1):%Y-%m-%d}",)
    assert {call.site_id for call in one.server.calls} == {None, stays}
    assert {call.site_id for call in calls} == {stays}
    assert report.is_good
    assert one.versions("meter_intervals").filter(site_id=gone).equals(history.filter(site_id=gone))

    clock.at += timedelta(days=1)
    assert one.run(*DAYS, refetch=True).news == [], "said once"
    assert one.run_with(one.ingestion, *DAYS, refetch=True).news == []

    faults.rules.clear()
    clock.at += timedelta(days=1)
    assert [finding.code for finding in one.run(*DAYS, refetch=True).news] == ["site_returned"]
    clock.at += timedelta(days=1)
    assert one.run(*DAYS, refetch=True).news == []
    faults.add(lambda request: request.endpoint == "all_installations", unlisted)
    clock.at += timedelta(days=1)
    assert [finding.code for finding in one.run(*DAYS, refetch=True).news] == ["site_vanished"], (
        "leaving again is news again"
    )
    assert news(one) == [("site_vanished", gone), ("site_returned", gone), ("site_vanished", gone)]


def test_a_site_that_the_settings_leave_out_has_not_left(bench):
    one = bench()
    left_out = one.world.sites[0].site_id
    one.run(*DAYS)
    one.settings["sites_exclude"] = (left_out,)
    assert one.run(*DAYS).news == []
