"""A site whose listed zone changes: its days stay in the zone that they are filed in, and somebody is told."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
from ingest_bench import read_lake

from climkit_pipeline.lake.site_zones import filed_zones
from climkit_pipeline.simulator import Fault

DAYS = (date(2026, 6, 1), date(2026, 6, 2))
LATER = (date(2026, 6, 2), date(2026, 6, 3))


def state_zone(faults, site_id: str, zone: str | None) -> None:
    """From now on the listing of a site states this zone."""
    faults.rules.clear()

    def restated(body: dict) -> dict:
        return {name: value for name, value in body.items() if name != "timezone"} | (
            {"timezone": zone} if zone else {}
        )

    faults.add(
        lambda request: request.endpoint == "installation_infos" and request.site_id == site_id,
        Fault("rewrite", rewrite=restated),
    )


def local_days_of(one, site_id: str, zone: str) -> list[bool]:
    """Of every stored interval, whether its folder is its start's day in ``zone``."""
    rows = one.current("meter_intervals").filter(site_id=site_id)
    days = rows["interval_start_utc"].dt.convert_time_zone(zone).dt.date()
    return (days == rows["day"]).to_list()


@pytest.mark.parametrize(
    ("stated", "setting", "words"),
    [
        (("Europe/Zurich", "Europe/Lisbon"), "Europe/Zurich", "it states Europe/Lisbon now"),
        ((None, None), "Europe/Lisbon", "it states no zone, and CLIMKIT_TIMEZONE is Europe/Lisbon now"),
    ],
)
def test_a_site_stays_in_the_zone_that_it_was_listed_with_first(bench, faults, stated, setting, words):
    """Rows of two zones in one lake failed every later build, of the whole account."""
    one = bench()
    moved, other = (site.site_id for site in one.world.sites)
    state_zone(faults, moved, stated[0])
    assert one.run(*DAYS).news == []

    state_zone(faults, moved, stated[1])
    one.settings["timezone"] = setting
    one.clock.at += timedelta(days=1)
    report = one.run(*LATER, refetch=True)
    assert report.is_good
    assert [(finding.code, finding.site_id) for finding in report.news] == [("site_zone_differs", moved)]
    assert "filed in Europe/Zurich" in str(report.news[0])
    assert words in str(report.news[0])
    assert one.run_with(one.ingestion, *LATER).news == [], "told once per listing"
    found = read_lake(one.data_dir, "findings", "data").filter(code="site_zone_differs")
    assert found["site_id"].to_list() == [moved]

    right = local_days_of(one, moved, "Europe/Zurich")
    assert right
    assert all(right)
    assert not all(local_days_of(one, moved, "Europe/Lisbon"))
    assert set(read_lake(one.data_dir, "sites", "data").filter(site_id=moved)["timezone"]) == {"Europe/Zurich"}
    assert filed_zones(one.ingestion.layout)[moved].key == "Europe/Zurich"
    assert all(local_days_of(one, other, next(s.zone.key for s in one.world.sites if s.site_id == other)))


def test_a_lake_without_sites_has_no_zones(bench):
    assert filed_zones(bench().new_ingestion().layout) == {}
