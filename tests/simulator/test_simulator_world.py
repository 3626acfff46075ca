"""What the simulated meters count: the same whatever was asked, believable, and equal to the truth."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from simulator_client import NOW, Api, exact, stamp_utc, total

from climkit_pipeline.domain.meters import INTRODUCTION, PRODUCTION
from climkit_pipeline.domain.periods import QUARTER_HOUR, Period, local_day, local_days, local_month
from climkit_pipeline.simulator import LoadCurve, SimulatorServer, World

MARCH, OCTOBER = date(2026, 3, 1), date(2026, 10, 1)
WEEK = (date(2026, 3, 26), date(2026, 4, 1))
NEW_WORLD = date(2026, 2, 1)


def fresh_world(**options: object) -> World:
    return World(**{"seed": 5, "clock": lambda: NOW, "created": NEW_WORLD, **options})


@given(data=st.data())
@settings(max_examples=10, deadline=None)
def test_any_order_and_any_split_of_windows_gives_the_same_rows(data):
    """Guards against a register that depends on how it was reached (floats added in another order)."""
    options = {"sites": 1, "meters": 9, "created": date(2026, 3, 1)}
    reference = fresh_world(**options)
    site = reference.sites[0]
    period = local_days(*WEEK, site.zone)
    quarters = period.count()
    cuts = sorted(data.draw(st.sets(st.integers(1, quarters - 1), max_size=4)))
    bounds = [period.start_utc + cut * QUARTER_HOUR for cut in (0, *cuts, quarters)]
    meters = data.draw(st.permutations([0, 1, 2, 3, 4, 7]))[:3]
    asked = data.draw(st.permutations([(meter, *piece) for meter in meters for piece in pairwise(bounds)]))
    with (
        SimulatorServer(reference, requests_per_second=None) as one,
        SimulatorServer(fresh_world(**options), requests_per_second=None) as other,
        Api(one) as whole,
        Api(other) as pieces,
    ):
        got: dict[int, list[dict]] = {meter: [] for meter in meters}
        for meter, start, end in asked:
            got[meter] += pieces.rows(f"/meter_data/{site.site_id}/{site.meters[meter].id}", Period(start, end))
        for meter in meters:
            rows = whole.rows(f"/meter_data/{site.site_id}/{site.meters[meter].id}", period)
            assert len(rows) == quarters
            assert sorted(got[meter], key=stamp_utc) == rows


def test_more_sites_and_meters_only_add_to_a_world():
    small, large = fresh_world(sites=1, meters=9), fresh_world(sites=3, meters=15)
    site, same = small.sites[0], large.sites[0]
    assert (same.site_id, same.name, same.created) == (site.site_id, site.name, site.created)
    assert same.meters[: len(site.meters)] == site.meters
    compared = 0
    for meter in site.meters:
        if meter.mode == INTRODUCTION:
            continue
        here = small.month_truth(site.site_id, meter.id, MARCH)
        there = large.month_truth(site.site_id, meter.id, MARCH)
        assert (here.total, here.index_end) == (there.total, there.index_end)
        compared += here.total > 0
    assert compared >= 7


def test_another_seed_is_another_world():
    one, other = fresh_world(seed=1), fresh_world(seed=2)
    assert {site.site_id for site in one.sites}.isdisjoint(site.site_id for site in other.sites)
    assert one.month_truth(one.sites[0].site_id, one.sites[0].meters[0].id, MARCH).total != (
        other.month_truth(other.sites[0].site_id, other.sites[0].meters[0].id, MARCH).total
    )


def test_sites_cycle_through_zones_and_the_third_has_no_sensor(world):
    assert [site.zone.key for site in world.sites] == ["Europe/Zurich", "Europe/Lisbon", "Europe/Zurich"]
    assert [len(site.sensors) for site in world.sites] == [2, 2, 0]
    for site in world.sites:
        assert len({meter.id for meter in site.meters}) == len(site.meters) == 15
        assert all(len(meter.id) == 24 and int(meter.id, 16) for meter in site.meters)
        assert {meter.type for meter in site.meters} == {
            "electricity",
            "heating",
            "hot_water",
            "cold_water",
            "charge_point",
        }
        assert sum(meter.is_rule_meter for meter in site.meters) == 1
        assert sum(meter.resolution == Decimal("0.01") for meter in site.meters) == 1


def test_a_world_lies_in_the_zones_that_are_named_and_changes_its_clocks_as_they_do():
    world = fresh_world(sites=3, meters=1, zones=("America/New_York", "Europe/Zurich"))
    assert [site.zone.key for site in world.sites] == ["America/New_York", "Europe/Zurich", "America/New_York"]
    new_york, zurich = (site.site_id for site in world.sites[:2])
    hours = {
        site_id: [
            world.truth_between(site_id, world.site(site_id).meters[0].id, day, day).intervals_expected / 4
            for day in (date(2026, 3, 8), date(2026, 3, 29))
        ]
        for site_id in (new_york, zurich)
    }
    assert hours == {new_york: [23, 24], zurich: [24, 23]}


@pytest.mark.parametrize("zones", [(), ("Mars/Olympus",)])
def test_zones_without_a_place_are_refused(zones):
    with pytest.raises(ValueError, match="sites lie in Europe/Zurich, Europe/Lisbon, America/New_York, not in"):
        fresh_world(zones=zones)


@pytest.mark.parametrize("month", [MARCH, OCTOBER])
@pytest.mark.parametrize("position", [0, 1])
def test_the_truth_of_a_month_is_the_sum_of_the_rows_served(world, api, position, month):
    site = world.sites[position]
    period = local_month(month, site.zone)
    for meter in site.meters:
        rows = api.rows(f"/meter_data/{site.site_id}/{meter.id}", period)
        truth = world.month_truth(site.site_id, meter.id, month)
        assert len(rows) == truth.intervals_counted == truth.intervals_expected == period.count()
        assert total(rows, "total") == truth.total
        if meter.has_split:
            assert (total(rows, "self"), total(rows, "ext")) == (truth.solar, truth.grid)
            assert truth.total == truth.solar + truth.grid
        else:
            assert rows[0].keys() == {"total", "timestamp"}
            assert truth.solar is truth.grid is None


@pytest.mark.parametrize("position", [0, 1])
def test_the_truth_of_a_month_is_the_advance_of_the_raw_register(world, api, position):
    site = world.sites[position]
    period = local_month(OCTOBER, site.zone)
    readings = Period(period.start_utc - QUARTER_HOUR, period.end_utc)
    physical = [meter for meter in site.meters if not meter.is_rule_meter]
    assert len(physical) == 14
    for meter in physical:
        truth = world.month_truth(site.site_id, meter.id, OCTOBER)
        rows = api.rows(f"/meter_data_raw/{site.site_id}/{meter.id}", readings)
        assert (stamp_utc(rows[0]), stamp_utc(rows[-1])) == (period.start_utc, period.end_utc)
        assert {name: exact(rows[0][name]) for name in truth.index_start} == truth.index_start
        assert {name: exact(rows[-1][name]) for name in truth.index_end} == truth.index_end
        register = "en_ex" if meter.mode == PRODUCTION else next(iter(truth.index_start))
        assert truth.index_end[register] - truth.index_start[register] == truth.total
        for name in truth.index_start:
            values = [row[name] for row in rows]
            assert values == sorted(values)
            assert all(exact(value) % meter.resolution == 0 for value in values)


def test_the_truth_of_a_site_is_the_sum_of_its_rows(world, api):
    for site in world.sites:
        truth = world.site_truth_between(site.site_id, date(2026, 6, 3), date(2026, 6, 20))
        period = local_days(date(2026, 6, 3), date(2026, 6, 20), site.zone)
        rows = api.rows(f"/site_data/{site.site_id}/electricity", period)
        assert len(rows) == 18 * 96
        names = ("conso_total", "prod_total", "from_ext", "self", "to_ext")
        assert [total(rows, name) for name in names] == [
            truth.consumption,
            truth.production,
            truth.grid_import,
            truth.self_consumption,
            truth.grid_export,
        ]
        assert truth.production_metered > 100
        assert abs(truth.production - truth.production_metered) < Decimal("0.05")


def test_the_truth_counts_only_what_is_over_and_nothing_before_the_creation(world):
    site = world.sites[0]
    meter = site.meters[0]
    current = world.month_truth(site.site_id, meter.id, date(2026, 11, 23))
    over = datetime(2026, 11, 23, 12, 0, tzinfo=UTC) - local_month(date(2026, 11, 1), site.zone).start_utc
    assert (current.intervals_counted, current.intervals_expected) == (over // QUARTER_HOUR, 2880)
    first = world.month_truth(site.site_id, meter.id, site.created)
    assert first.index_start["en_im"] == 0
    assert 0 < first.intervals_counted < first.intervals_expected == 2976
    before = world.month_truth(site.site_id, meter.id, date(2025, 12, 1))
    assert (before.total, before.intervals_counted, before.intervals_expected) == (0, 0, 2976)
    future = world.month_truth(site.site_id, meter.id, date(2027, 1, 1))
    assert (future.total, future.intervals_counted) == (0, 0)


def test_a_rule_meter_is_the_sum_of_its_parts(world):
    for site in world.sites:
        rule = next(meter for meter in site.meters if meter.is_rule_meter)
        parts = site.parts_of(rule)
        assert {part.kind for part in parts} == {"charge_point", "common_area"}
        whole = world.month_truth(site.site_id, rule.id, OCTOBER)
        truths = [world.month_truth(site.site_id, part.id, OCTOBER) for part in parts]
        assert whole.total == sum(truth.total for truth in truths) > 0
        assert whole.solar == sum(truth.solar for truth in truths)
        assert whole.index_start is None


@pytest.mark.parametrize(("rule", "step"), [("clipped", None), ("signed", None), ("clipped", Decimal("0.01"))])
def test_the_split_follows_the_providers_rule_in_its_clipped_and_its_signed_form(serve, rule, step):
    """Clipping inflates self-consumption: about a quarter of the site's values are a little negative."""
    world = fresh_world(split_rule=rule, register_step=step)
    api = serve(world)
    for site in world.sites[:1]:
        period = local_month(OCTOBER, site.zone)
        series = {
            meter.id: api.rows(f"/meter_data/{site.site_id}/{meter.id}", period)
            for meter in (*site.counted_consumers, site.grid_meter)
        }
        imports = series.pop(site.grid_meter.id)
        negative = count = 0
        for at, grid in enumerate(imports):
            rows = [rows[at] for rows in series.values()]
            assert {row["timestamp"] for row in rows} == {grid["timestamp"]}
            consumed = total(rows, "total")
            own = consumed - exact(grid["total"])
            share = max(own, 0) if rule == "clipped" else own
            for row in rows:
                whole, sunny, bought = (exact(row[name]) for name in ("total", "self", "ext"))
                assert whole == sunny + bought
                expected = whole * share / consumed if consumed else Decimal(0)
                assert abs(sunny - expected) <= Decimal("0.0000005")
                negative += own < 0
                assert sunny >= 0 or rule == "signed"
                count += 1
                assert sunny > Decimal("-0.05")
        assert count == len(series) * period.count() > 20_000
        assert 0.1 < negative / count < 0.5


def test_photovoltaics_rest_at_night_and_peak_around_noon(world, api):
    for site in world.sites:
        plant = site.production_meters[0]
        rows = api.rows(f"/meter_data/{site.site_id}/{plant.id}", local_month(date(2026, 6, 1), site.zone))
        by_hour: dict[int, Decimal] = {hour: Decimal(0) for hour in range(24)}
        for row in rows:
            by_hour[(stamp_utc(row) - QUARTER_HOUR).astimezone(site.zone).hour] += exact(row["total"])
        assert all(by_hour[hour] == 0 for hour in (23, 0, 1, 2, 3, 4))
        assert max(by_hour, key=by_hour.get) in (12, 13, 14)
        june = sum(by_hour.values())
        december = world.truth_between(site.site_id, plant.id, date(2026, 11, 1), date(2026, 11, 20)).total
        assert june > 2 * december > 0


def test_habits_follow_the_local_clock_and_the_seasons(world, api):
    for site in world.sites:
        flats = site.of_kind("flat")
        by_hour: dict[int, Decimal] = {hour: Decimal(0) for hour in range(24)}
        for flat in flats:
            for row in api.rows(f"/meter_data/{site.site_id}/{flat.id}", local_month(OCTOBER, site.zone)):
                by_hour[(stamp_utc(row) - QUARTER_HOUR).astimezone(site.zone).hour] += exact(row["total"])
        assert by_hour[19] > 2 * by_hour[3] > 0
        heat = site.of_kind("building_heat")[0]
        winter = world.month_truth(site.site_id, heat.id, MARCH).total
        summer = world.month_truth(site.site_id, heat.id, date(2026, 7, 1)).total
        assert winter > 300
        assert summer < 100
        yearly = [world.truth_between(site.site_id, flat.id, MARCH, date(2026, 10, 31)).total for flat in flats]
        assert all(200 < energy < 5000 for energy in yearly)


def test_sensor_readings_come_every_quarter_hour_as_epoch_seconds(world, api):
    site = world.sites[0]
    period = local_day(date(2026, 7, 14), site.zone)
    for sensor in site.sensors:
        rows = api.rows(f"/{site.site_id}/sensor_data/{sensor.id}", period)
        assert [row["timestamp"] for row in rows] == [
            int(interval.end_utc.timestamp()) for interval in period.intervals()
        ]
        assert len({row["value"] for row in rows}) > 10
        last = api.rows(f"/{site.site_id}/sensor_data/{sensor.id}")
        assert [row["timestamp"] for row in last] == [int(datetime(2026, 11, 23, 12, 0, tzinfo=UTC).timestamp())]


def test_measured_load_curves_pass_through_the_registers_unchanged(serve):
    """By hand: 0.3 kWh used and 0.1 kWh made by day, 0.5 kWh made from noon (UTC) on, nothing made at night."""

    def made(start: datetime) -> float:
        return 0.0 if start.hour < 6 else 0.1 if start.hour < 12 else 0.5

    curves = {(0, 0): lambda start: 0.3, (0, 2): LoadCurve(made, resolution=Decimal("0.01"))}
    world = fresh_world(sites=1, meters=3, load_curves=curves)
    site = world.sites[0]
    api = serve(world)
    flat, grid, plant = (meter.id for meter in site.meters)
    assert site.meters[2].resolution == Decimal("0.01")
    day = Period(datetime(2026, 5, 5, tzinfo=UTC), datetime(2026, 5, 6, tzinfo=UTC))
    rows = api.rows(f"/meter_data/{site.site_id}/{flat}", day)
    assert [(row["total"], row["self"], row["ext"]) for row in rows] == (
        [(0.3, 0.0, 0.3)] * 24 + [(0.3, 0.1, 0.2)] * 24 + [(0.3, 0.3, 0.0)] * 48
    )
    assert [row["total"] for row in api.rows(f"/meter_data/{site.site_id}/{grid}", day)] == (
        [0.3] * 24 + [0.2] * 24 + [0.0] * 48
    )
    assert [row["total"] for row in api.rows(f"/meter_data/{site.site_id}/{plant}", day)] == (
        [0.0] * 24 + [0.1] * 24 + [0.5] * 48
    )
    march = world.month_truth(site.site_id, flat, MARCH)
    assert march.total == 2972 * Decimal("0.3")
    exported = world.site_truth_between(site.site_id, date(2026, 5, 1), date(2026, 5, 31)).grid_export
    assert exported == 31 * 48 * Decimal("0.2")


def test_load_curves_are_quantised_like_any_load(serve):
    world = fresh_world(sites=1, meters=1, load_curves={(0, 0): lambda start: 0.0004})
    site = world.sites[0]
    day = local_day(date(2026, 5, 5), site.zone)
    values = [row["total"] for row in serve(world).rows(f"/meter_data/{site.site_id}/{site.meters[0].id}", day)]
    assert set(values) == {0.0, 0.001}
    assert sum(map(exact, values)) in (Decimal("0.038"), Decimal("0.039"))


@pytest.mark.parametrize("name", [(0, 1), (0, 3), (0, 99), (9, 0), ("nowhere", 0)])
def test_load_curves_for_meters_that_take_none_are_refused(name):
    with pytest.raises(ValueError, match="load curve"):
        fresh_world(load_curves={name: lambda start: 0.0})


def test_a_negative_load_curve_is_refused():
    world = fresh_world(sites=1, load_curves={(0, 0): lambda start: -0.1})
    with pytest.raises(ValueError, match="negative"):
        world.month_truth(world.sites[0].site_id, world.sites[0].meters[0].id, MARCH)


@pytest.mark.parametrize("meters", range(10))
def test_a_house_with_few_meters_still_balances(meters, serve):
    world = fresh_world(sites=1, meters=meters)
    site = world.sites[0]
    api = serve(world)
    period = local_days(*WEEK, site.zone)
    assert [row["id"] for row in api.get(f"/meter_info/{site.site_id}").json()] == [meter.id for meter in site.meters]
    for meter in site.meters:
        rows = api.rows(f"/meter_data/{site.site_id}/{meter.id}", period)
        assert len(rows) == period.count()
        assert total(rows, "total") == world.truth_between(site.site_id, meter.id, *WEEK).total
    rows = api.rows(f"/site_data/{site.site_id}/electricity", period)
    assert len(rows) == (period.count() if meters else 0)
    for row in rows:
        assert exact(row["conso_total"]) == exact(row["self"]) + exact(row["from_ext"])
        assert exact(row["prod_total"]) == exact(row["self"]) + exact(row["to_ext"])


def test_old_worlds_keep_no_more_days_than_allowed_and_still_agree():
    """Guards the day cache: a value read after its day was dropped and computed again must be the same."""
    world = fresh_world(sites=1, meters=9, created=date(2025, 1, 1))
    site = world.sites[0]
    first = [world.month_truth(site.site_id, meter.id, date(2025, 3, 1)) for meter in site.meters]
    later = [world.month_truth(site.site_id, meter.id, date(2025, 9, 1)) for meter in site.meters]
    again = fresh_world(sites=1, meters=9, created=date(2025, 1, 1), cached_site_days=3)
    assert [again.month_truth(site.site_id, meter.id, date(2025, 9, 1)) for meter in site.meters] == later
    assert [again.month_truth(site.site_id, meter.id, date(2025, 3, 1)) for meter in site.meters] == first
    assert again.registers(site.site_id).cached_days == 3
    assert world.registers(site.site_id).cached_days > 200
