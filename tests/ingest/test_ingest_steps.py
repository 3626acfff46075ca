"""Series whose step changes: the same time answered under other keys counts once."""

from __future__ import annotations

from collections import defaultdict
from datetime import date, datetime, timedelta

import polars as pl
from ingest_bench import rewriting

DAYS = (date(2026, 3, 28), date(2026, 3, 30))
HOURS_OF_DAYS = 23 + 2 * 24


def hourly(rows: list[dict]) -> list[dict]:
    """The same energy, one row per whole hour, as a provider serves it that changed its step."""
    hours: dict[datetime, float] = defaultdict(float)
    for row in rows:
        at = datetime.fromisoformat(row["timestamp"])
        hours[at + timedelta(minutes=-at.minute % 60)] += row["total"]
    return [{"timestamp": at.isoformat(sep=" "), "total": total} for at, total in sorted(hours.items())]


def heat_meter(one):
    return next(meter for meter in one.world.sites[0].meters if meter.type == "heating")


def test_hours_take_the_place_of_quarter_hours_and_the_other_way_round(bench, faults):
    """Both steps stayed current: a month of 2,976 quarter-hours and 744 hours, billed twice or blocked for ever."""
    one = bench(world={"sites": 1, "meters": 6})
    heat = heat_meter(one)
    faults.list_only(heat.id)
    one.run(*DAYS, datasets=("meter_intervals",))
    before = one.current("meter_intervals").filter(meter_id=heat.id)
    assert before.height == 4 * HOURS_OF_DAYS
    faults.add(lambda request: request.endpoint == "meter_data" and request.subject == heat.id, rewriting(hourly))
    one.run(*DAYS, datasets=("meter_intervals",), refetch=True)
    now = one.current("meter_intervals").filter(meter_id=heat.id)
    assert now.height == HOURS_OF_DAYS
    assert set(now["interval_end_utc"] - now["interval_start_utc"]) == {timedelta(hours=1)}
    assert round(now["total"].sum(), 6) == round(before["total"].sum(), 6)
    coverage = one.coverage("meter_intervals").filter(subject_id=heat.id).sort("day")
    assert coverage["state"].to_list() == ["complete"] * 3
    assert coverage["expected"].to_list() == [24, 23, 24]
    history = one.versions("meter_intervals").filter(pl.col("meter_id") == heat.id)
    assert history.filter(pl.col("superseded_at_utc").is_not_null()).height == 4 * HOURS_OF_DAYS, "nothing is lost"
    faults.rules.pop()
    one.run(*DAYS, datasets=("meter_intervals",), refetch=True)
    again = one.current("meter_intervals").filter(meter_id=heat.id)
    columns = ["interval_start_utc", "interval_end_utc", "total"]
    assert again.select(columns).sort("interval_start_utc").equals(before.select(columns).sort("interval_start_utc"))


def test_a_few_hours_left_by_an_outage_do_not_change_the_step(bench, faults):
    """An answer that holds every fourth quarter-hour of an afternoon looks hourly, and would drop the rest."""
    one = bench(world={"sites": 1, "meters": 6})
    heat = heat_meter(one)
    faults.list_only(heat.id)
    one.run(*DAYS, datasets=("meter_intervals",))
    before = one.current("meter_intervals").filter(meter_id=heat.id)

    def afternoon(rows: list[dict]) -> list[dict]:
        return rows[200:224:4]

    faults.add(lambda request: request.endpoint == "meter_data" and request.subject == heat.id, rewriting(afternoon))
    one.run(*DAYS, datasets=("meter_intervals",), refetch=True)
    now = one.current("meter_intervals").filter(meter_id=heat.id)
    assert set(now["interval_end_utc"] - now["interval_start_utc"]) == {timedelta(minutes=15)}
    assert now.height >= before.height - 4 * 4 - 200, "rows that both answers lack may be withdrawn, none cut short"
