"""Sites and meters that are new, gone, back or listed as something else: said by name, once."""

from __future__ import annotations

from datetime import date, timedelta

import polars as pl
import pytest
from ingest_bench import read_lake

from climkit_pipeline.simulator import Fault

DAYS = (date(2026, 6, 1), date(2026, 6, 2))
DATASETS = ("sites", "meters", "sensors")


@pytest.fixture
def listed(bench, faults, clock):
    """A function that lists the account on the next day, and gives what was news: code, meter and the sentence."""
    one = bench()

    def run(rewrite=None, endpoint="meter_info", days=DAYS):
        faults.rules.clear()
        if rewrite:
            faults.add(lambda request: request.endpoint == endpoint, Fault("rewrite", rewrite=rewrite))
        clock.at += timedelta(days=1)
        report = one.run(*days, datasets=DATASETS, refetch=True)
        assert report.is_good
        return [(finding.code, finding.subject_id, *finding.samples) for finding in report.news]

    run.one = one
    return run


def test_meters_that_are_new_gone_back_or_changed_are_said_by_name_once(listed):
    """A meter was replaced on the platform and its tenant not billed: nobody had been told."""
    site = listed.one.world.sites[0]
    first, second = site.meters[:2]
    of_first = f"{first.name} of {site.name} ({first.type}, {first.mode})"

    def lacking_first(rows):
        return [row for row in rows if row["id"] != first.id]

    def otherwise(rows):
        other = {"mode": "production", "name": "Flat 9", "prim_ad": 77}
        return [row | other if row["id"] == second.id else row for row in rows]

    assert listed(lacking_first) == [], "the first listing of all"
    assert listed() == [("meter_new", first.id, of_first)]
    assert listed() == []
    assert listed(lacking_first) == [("meter_vanished", first.id, of_first)]
    assert listed(lacking_first) == []
    assert listed() == [("meter_returned", first.id, of_first)]
    assert listed(otherwise) == [
        (
            "meter_changed",
            second.id,
            f"Flat 9 of {site.name}: meter name was {second.name}, is Flat 9; meter mode was {second.mode}, is "
            f"production; primary address was {second.prim_ad}, is 77",
        )
    ]
    assert listed(otherwise) == []
    assert len(listed()) == 1
    kept = read_lake(listed.one.data_dir, "findings", "data").filter(pl.col("dataset") == "meters")
    assert kept.sort("found_at_utc")["code"].to_list() == [
        "meter_new", "meter_vanished", "meter_returned", "meter_changed", "meter_changed",
    ]  # fmt: skip


def test_a_new_site_is_one_line_and_what_changes_of_a_site_is_said(listed):
    """Three hundred meters of a new customer, one by one, would hide what else is news."""
    first, second = listed.one.world.sites

    def only_first(rows):
        return [row for row in rows if row["id"] == first.site_id]

    assert listed(only_first, "all_installations") == []
    assert listed() == [("site_new", second.site_id, f"{second.name}, with {len(second.meters)} meters")]

    def renamed(rows):
        return rows | {"name": "Elsewhere"} if rows["name"] == first.name else rows

    ((code, site_id, said),) = listed(renamed, "installation_infos")
    assert (code, site_id) == ("site_changed", first.site_id)
    assert said == f"Elsewhere: site name was {first.name}, is Elsewhere"


def test_an_empty_list_of_meters_is_a_fault_and_no_news(listed):
    assert listed() == []
    assert listed(lambda _: []) == []
    assert listed() == []
