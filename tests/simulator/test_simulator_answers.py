"""The documented shapes: stamps, frequencies, windows, site series, listings."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from functools import cache

import pytest
from simulator_client import NOW, exact, naive, stamp_utc, total

from climkit_pipeline.domain.meters import SITE_SERIES_TYPES
from climkit_pipeline.domain.periods import QUARTER_HOUR, Period, local_day, local_days, local_month
from climkit_pipeline.simulator import World

SPRING, AUTUMN = date(2026, 3, 29), date(2026, 10, 25)
FLOORS = {
    "H": lambda local: local.replace(minute=0, second=0),
    "D": lambda local: local.replace(hour=0, minute=0, second=0),
    "M": lambda local: local.replace(day=1, hour=0, minute=0, second=0),
    "Y": lambda local: local.replace(month=1, day=1, hour=0, minute=0, second=0),
}


@cache
def start_stamp(timestamp: str, zone, frequency: str) -> str:
    """The stamp of the longer period that a 15-minute row belongs to, in plain Python."""
    local = (datetime.fromisoformat(timestamp).astimezone(UTC) - QUARTER_HOUR).astimezone(zone)
    if frequency == "H":
        return str(local.replace(minute=0))
    return str(FLOORS[frequency](local.replace(tzinfo=None, fold=0)).replace(tzinfo=zone))


def summed(rows: list[dict], zone, frequency: str) -> list[dict]:
    """15-minute rows added up by local period, exactly."""
    sums: dict[str, dict] = defaultdict(lambda: defaultdict(Decimal))
    for row in rows:
        sum_ = sums[start_stamp(row["timestamp"], zone, frequency)]
        for name, value in row.items():
            if name != "timestamp":
                sum_[name] += value
    return [{**values, "timestamp": stamp} for stamp, values in sums.items()]


def exactly(rows: list[dict]) -> list[dict]:
    return [{name: value if name == "timestamp" else exact(value) for name, value in row.items()} for row in rows]


def series_of(site) -> list[str]:
    """One series of each kind: the further flats are like the first."""
    meters = [f"/meter_data/{site.site_id}/{meter.id}" for meter in site.meters[:9]]
    return meters + [f"/site_data/{site.site_id}/{name}" for name in ("electricity", "charge_point", "heating")]


@pytest.mark.parametrize("position", [0, 1])
@pytest.mark.parametrize(("day", "intervals"), [(SPRING, 92), (AUTUMN, 100)])
def test_every_frequency_is_the_sum_of_quarter_hours_over_local_time(world, api, position, day, intervals):
    site = world.sites[position]
    month, zone = local_month(day, site.zone), site.zone
    compared = 0
    for path in series_of(site):
        quarters = exactly(api.rows(path, month))
        assert len(quarters) == month.count()
        on_the_day = [row for row in quarters if stamp_utc(row) - QUARTER_HOUR in local_day(day, zone)]
        assert len(on_the_day) == intervals
        for frequency, count in (("H", month.count(timedelta(hours=1))), ("D", 31), ("M", 1)):
            rows = api.rows(path, month, frequency)
            assert len(rows) == count
            assert exactly(rows) == summed(quarters, zone, frequency)
            compared += len(rows)
    assert compared > 12 * 770


def test_a_year_is_the_sum_of_its_months_and_begins_at_the_creation(serve):
    world = World(seed=7, sites=1, clock=lambda: datetime(2027, 2, 3, tzinfo=UTC), created=date(2026, 1, 1))
    site, api = world.sites[0], serve(world)
    ever = Period(datetime(2020, 1, 1, tzinfo=UTC), datetime(2027, 2, 1, tzinfo=UTC))
    for path in series_of(site):
        months = api.rows(path, ever, "M")
        assert [row["timestamp"][:10] for row in months] == [f"2026-{m:02}-01" for m in range(1, 13)] + ["2027-01-01"]
        assert exactly(api.rows(path, ever, "Y")) == summed_months(months[:12])
    assert world.month_truth(site.site_id, site.meters[0].id, date(2026, 1, 1)).intervals_counted == (31 - 14) * 96


def summed_months(rows: list[dict]) -> list[dict]:
    return [{name: total(rows, name) for name in rows[0] if name != "timestamp"} | {"timestamp": rows[0]["timestamp"]}]


def test_stamps_are_local_with_a_space_and_the_changing_offset(world, api):
    site = world.sites[0]
    path = f"/meter_data/{site.site_id}/{site.meters[0].id}"
    spring = [row["timestamp"] for row in api.rows(path, local_day(SPRING, site.zone))]
    assert (spring[0], spring[-1]) == ("2026-03-29 00:15:00+01:00", "2026-03-30 00:00:00+02:00")
    assert "2026-03-29 03:00:00+02:00" in spring
    assert not any(" 02:" in stamp for stamp in spring)
    autumn = [row["timestamp"] for row in api.rows(path, local_day(AUTUMN, site.zone))]
    assert {"2026-10-25 02:15:00+02:00", "2026-10-25 02:15:00+01:00"} <= set(autumn)
    assert len(set(autumn)) == 100
    hours = [row["timestamp"] for row in api.rows(path, local_day(AUTUMN, site.zone), "H")]
    assert (len(hours), hours[0]) == (25, "2026-10-25 00:00:00+02:00")
    assert [row["timestamp"] for row in api.rows(path, local_month(AUTUMN, site.zone), "M")] == [
        "2026-10-01 00:00:00+02:00"
    ]


@pytest.mark.parametrize(
    ("bounds", "stamps", "days"),
    [
        ("(]", ("2026-06-10 00:15", "2026-06-11 00:00"), 1),
        ("[)", ("2026-06-10 00:00", "2026-06-10 23:45"), 1),
        ("[]", ("2026-06-10 00:00", "2026-06-11 00:00"), 2),
    ],
)
def test_the_bounds_of_a_window_are_an_option(world, serve, bounds, stamps, days):
    site = world.sites[0]
    api = serve(window_bounds=bounds)
    day = local_day(date(2026, 6, 10), site.zone)
    for path in (f"/{call}/{site.site_id}/{site.meters[0].id}" for call in ("meter_data", "meter_data_raw")):
        got = [row["timestamp"][:16] for row in api.rows(path, day)]
        assert (got[0], got[-1]) == stamps
        assert len(got) == (97 if bounds == "[]" else 96)
    readings = api.rows(f"/{site.site_id}/sensor_data/{site.sensors[0].id}", day)
    start, end = int(day.start_utc.timestamp()), int(day.end_utc.timestamp())
    assert readings[0]["timestamp"] == start + (900 if bounds == "(]" else 0)
    assert readings[-1]["timestamp"] == end - (900 if bounds == "[)" else 0)
    assert len(api.rows(f"/meter_data/{site.site_id}/{site.meters[0].id}", day, "D")) == days


def test_bounds_between_quarter_hours_include_nothing_more(world, serve):
    site = world.sites[0]
    path = f"/meter_data/{site.site_id}/{site.meters[0].id}"
    odd = Period(datetime(2026, 6, 10, 10, 7, tzinfo=UTC), datetime(2026, 6, 10, 10, 52, tzinfo=UTC))
    for bounds in ("(]", "[)", "[]"):
        rows = serve(window_bounds=bounds).rows(path, odd)
        assert [stamp_utc(row).minute for row in rows] == [15, 30, 45]


def test_an_unknown_kind_of_bounds_is_refused(world, serve):
    with pytest.raises(ValueError, match="window_bounds"):
        serve(window_bounds="()")


def test_a_missing_end_means_now_and_a_missing_start_the_last_day(world, api):
    site = world.sites[0]
    path = f"/meter_data/{site.site_id}/{site.meters[0].id}"
    last = NOW.replace(minute=0)
    for body in ({}, {"t_s": None, "t_e": None}, {"sampling_frequency": "15T"}):
        stamps = [stamp_utc(row) for row in api.post(path, **body).json()]
        assert (len(stamps), stamps[-1]) == (96, last)
    since = api.post(path, t_s=naive(NOW - timedelta(hours=2)), t_e=None).json()
    assert [stamp_utc(row) for row in since] == [last - n * QUARTER_HOUR for n in range(7, -1, -1)]
    until = api.post(path, t_e="2026-06-10T00:00:00").json()
    assert (len(until), stamp_utc(until[-1])) == (96, datetime(2026, 6, 10, tzinfo=UTC))


def test_nothing_is_answered_before_the_creation_or_after_now(world, api):
    for site in world.sites:
        path = f"/meter_data/{site.site_id}/{site.meters[0].id}"
        before = Period(datetime(2025, 1, 1, tzinfo=UTC), local_day(site.created, site.zone).start_utc)
        assert api.rows(path, before) == api.rows(path, before, "D") == []
        first = Period(before.start_utc, before.end_utc + timedelta(hours=1))
        assert stamp_utc(api.rows(path, first)[0]) == before.end_utc + QUARTER_HOUR
        later = Period(NOW, NOW + timedelta(days=40))
        for frequency in ("15T", "H", "D", "M", "Y"):
            assert api.rows(path, later, frequency) == []
        today = Period(local_day(NOW.date(), site.zone).start_utc, NOW + timedelta(days=400))
        assert len(api.rows(path, today)) == (NOW - today.start_utc) // QUARTER_HOUR
        assert api.rows(path, today, "D") == []
        assert len(api.rows(path, today, "H")) == (NOW - today.start_utc) // timedelta(hours=1)


def test_site_series_balance_exactly_and_agree_with_their_meters(world, api):
    for site in world.sites:
        week = local_days(date(2026, 6, 1), date(2026, 6, 7), site.zone)
        meters = {
            meter.id: api.rows(f"/meter_data/{site.site_id}/{meter.id}", week)
            for meter in site.meters
            if not meter.is_rule_meter
        }
        rows = api.rows(f"/site_data/{site.site_id}/electricity", week)
        assert len(rows) == 7 * 96
        for at, row in enumerate(rows):
            consumed, produced, bought, own, sold = (
                exact(row[name]) for name in ("conso_total", "prod_total", "from_ext", "self", "to_ext")
            )
            assert consumed == own + bought
            assert produced == own + sold == consumed - bought + sold
            assert bought == exact(meters[site.grid_meter.id][at]["total"])
            assert consumed == sum(exact(meters[meter.id][at]["total"]) for meter in site.counted_consumers)
        assert total(rows, "to_ext") > 10
        charging = api.rows(f"/site_data/{site.site_id}/charge_point", week)
        station = meters[site.of_kind("charge_point")[0].id]
        assert [(row["conso_total"], row["self"], row["from_ext"]) for row in charging] == [
            (row["total"], row["self"], row["ext"]) for row in station
        ]
        heat = api.rows(f"/site_data/{site.site_id}/heating", week)
        heaters = [meters[meter.id] for meter in site.meters if meter.type == "heating"]
        assert len(heaters) == 2
        assert heat[0].keys() == {"conso_total", "timestamp"}
        assert total(heat, "conso_total") == sum(total(rows, "total") for rows in heaters)


def test_a_documented_type_without_meters_is_an_empty_list(world, api):
    site = world.sites[0]
    answers = {name: api.post(f"/site_data/{site.site_id}/{name}") for name in SITE_SERIES_TYPES}
    assert {name for name, answer in answers.items() if answer.json() == []} == {"cooling"}
    assert {answer.status_code for answer in answers.values()} == {200}


def test_wide_columns_repeat_the_meters_where_asked_for(world, serve):
    site, api = world.sites[0], serve(wide_columns=True)
    day = local_day(date(2026, 6, 10), site.zone)
    wide = api.rows(f"/site_data/{site.site_id}/electricity", day)
    for meter in site.counted_consumers:
        rows = api.rows(f"/meter_data/{site.site_id}/{meter.id}", day)
        assert [tuple(row[f"{name}_{meter.id}"] for name in ("total", "self", "ext")) for row in wide] == [
            (row["total"], row["self"], row["ext"]) for row in rows
        ]
    for meter in site.meters:
        if meter.type == "electricity" and not meter.has_split:
            rows = api.rows(f"/meter_data/{site.site_id}/{meter.id}", day)
            assert [row[f"total_{meter.id}"] for row in wide] == [row["total"] for row in rows]
            assert f"self_{meter.id}" not in wide[0]
    own = [meter for meter in site.meters if meter.type in {"electricity", "charge_point"}]
    assert len(wide[0]) == 6 + sum(3 if meter.has_split else 1 for meter in own)
    heat = api.rows(f"/site_data/{site.site_id}/heating", day)
    assert heat[0].keys() == {"conso_total", "timestamp"} | {
        f"total_{meter.id}" for meter in site.meters if meter.type == "heating"
    }


def test_raw_registers_say_import_and_export_by_mode(world, api):
    site = world.sites[0]
    day = local_day(date(2026, 6, 10), site.zone)
    last = {
        meter.kind: api.rows(f"/meter_data_raw/{site.site_id}/{meter.id}", day)[-1]
        for meter in site.meters
        if not meter.is_rule_meter
    }
    assert last["flat"]["en_im"] > 0 == last["flat"]["en_ex"]
    assert last["photovoltaics"]["en_ex"] > 0 == last["photovoltaics"]["en_im"]
    assert last["grid"]["en_im"] > 0 < last["grid"]["en_ex"] < last["photovoltaics"]["en_ex"]
    assert last["building_heat"].keys() == {"heat_energy_kwh", "timestamp"}
    assert last["cold_water"].keys() == {"vol_m3", "timestamp"}


def test_numbers_have_six_decimals_at_most(world, api):
    site = world.sites[0]
    month = local_month(date(2026, 6, 1), site.zone)
    text = api.post(
        f"/meter_data/{site.site_id}/{site.meters[0].id}", t_s=naive(month.start_utc), t_e=naive(month.end_utc)
    ).text
    decimals = [-exact(row["self"]).as_tuple().exponent for row in json.loads(text)]
    assert max(decimals) == 6
    assert len(decimals) == 2880


def test_listings_have_the_documented_shape(world, api):
    listed = api.get("/all_installations").json()
    assert [row["id"] for row in listed] == [site.site_id for site in world.sites]
    for site in world.sites:
        infos = api.get(f"/installation_infos/{site.site_id}").json()
        assert infos.keys() == {
            "site_ref",
            "name",
            "address",
            "creation_date",
            "latitude",
            "longitude",
            "timezone",
        }
        assert infos["address"].keys() == {"street_name", "street_number", "city", "postal_code"}
        assert type(infos["address"]["postal_code"]) is int
        assert datetime.fromisoformat(infos["creation_date"]) == local_day(site.created, site.zone).start_utc
        assert infos["timezone"] == site.zone.key
        meters = api.get(f"/meter_info/{site.site_id}").json()
        assert [row["id"] for row in meters] == [meter.id for meter in site.meters]
        assert meters[0].keys() == {"id", "type", "name", "mode", "prim_ad", "is_rule_meter"}
        assert {row["mode"] for row in meters} == {"consumption", "production", "introduction"}
        sensors = api.get(f"/{site.site_id}/sensors_list").json()
        assert [row["id"] for row in sensors] == [sensor.id for sensor in site.sensors]
        assert all(row.keys() == {"id", "name", "type", "unit", "model"} for row in sensors)


def test_listing_forms_seen_in_the_wild_are_an_option(world, serve):
    ids = [site.site_id for site in world.sites]
    assert serve(listing_form="strings").get("/all_installations").json() == ids
    assert [row["_id"]["$oid"] for row in serve(listing_form="oid").get("/all_installations").json()] == ids


def test_the_older_form_of_a_meter_has_neither_name_nor_mode(world, serve):
    site, api = world.sites[0], serve(meter_form="older")
    assert api.get(f"/meter_info/{site.site_id}").json() == [
        {"id": meter.id, "type": meter.type, "prim_ad": str(meter.prim_ad), "virtual": meter.is_rule_meter}
        for meter in site.meters
    ]


@pytest.mark.parametrize(("minutes", "counts"), [(60, (23, 24, 25)), (1440, (1, 1, 1))])
def test_heat_and_water_may_come_in_longer_steps(serve, minutes, counts):
    world = World(seed=7, sites=2, meters=9, clock=lambda: NOW, created=date(2026, 1, 1), step_minutes=minutes)
    api = serve(world)
    for site in world.sites:
        heat = site.of_kind("building_heat")[0]
        days = (SPRING, date(2026, 4, 14), AUTUMN)
        for day, count in zip(days, counts, strict=True):
            period = local_day(day, site.zone)
            rows = api.rows(f"/meter_data/{site.site_id}/{heat.id}", period)
            assert len(rows) == count
            assert stamp_utc(rows[-1]) == period.end_utc
            assert total(rows, "total") == world.truth_between(site.site_id, heat.id, day, day).total
            raw = api.rows(f"/meter_data_raw/{site.site_id}/{heat.id}", period)
            assert [row["timestamp"] for row in raw] == [row["timestamp"] for row in rows]
            assert len(api.rows(f"/meter_data/{site.site_id}/{site.meters[0].id}", period)) == period.count()
            assert len(api.rows(f"/meter_data/{site.site_id}/{heat.id}", period, "D")) == 1
        march = local_month(SPRING, site.zone)
        rows = api.rows(f"/site_data/{site.site_id}/heating", march)
        assert len(rows) == march.count(timedelta(hours=1)) // (minutes // 60) + (minutes == 1440)
        assert total(rows, "conso_total") > 100


def test_a_step_that_nobody_uses_is_refused():
    with pytest.raises(ValueError, match="15, 60 or 1440"):
        World(step_minutes=30)


def test_texts_are_made_up_and_names_differ_within_a_site(world):
    for site in world.sites:
        names = [meter.name for meter in site.meters]
        assert len(set(names)) == len(names)
        assert re.fullmatch(r"SIM-\d{4}", site.site_ref)
