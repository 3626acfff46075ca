"""A month of measured 15-minute load curves behind the protocol, billed, and added up again in plain Python.

The curves are the three measured yearly profiles of the package pycity_base, read as a file: one row per local
quarter-hour of a year without clock changes. Here a meter's quarter-hour takes the row of its local wall time, so the
hour that a spring change skips is never counted and the one that autumn repeats counts twice.
"""

from __future__ import annotations

import json
import sysconfig
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from functools import cache
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from accounts import Account, account_for

from climkit_pipeline.simulator import LoadCurve, SimulatorServer, World

pytestmark = pytest.mark.story

PROFILES = "pycity_base/inputs/measured_el_loads/non_res_annual_el_profiles.txt"
QUARTERS_A_YEAR = 35040
MARCH, OCTOBER = date(2026, 3, 1), date(2026, 10, 1)
CREATED = date(2026, 1, 1)


@cache
def profiles_wh() -> list[tuple[int, int, int]]:
    """Per local quarter-hour of the year: the energies of three measured loads, in whole Wh."""
    text = (Path(sysconfig.get_paths()["purelib"]) / PROFILES).read_text(encoding="utf-8")
    rows = [line.split("\t") for line in text.splitlines()[2:] if line.strip()]
    # The file's powers belong to a load of 1000 kWh a year; times 10 gives small businesses, W / 4 is Wh.
    wh = [tuple(round(float(cell) * 10 / 4) for cell in row[2:5]) for row in rows]
    assert len(wh) == QUARTERS_A_YEAR
    return wh  # type: ignore[return-value]


def position_of(local: datetime) -> int:
    """The profile's row for a local wall time."""
    day_of_year = local.timetuple().tm_yday - 1
    return 96 * day_of_year + 4 * local.hour + local.minute // 15


def curve(profile: int, zone: ZoneInfo, shift_days: int) -> Callable[[datetime], float]:
    """One measured load for one meter; meters differ by profile and by a shift of whole weeks."""

    def energy_kwh(interval_start_utc: datetime) -> float:
        row = (position_of(interval_start_utc.astimezone(zone)) + 96 * shift_days) % QUARTERS_A_YEAR
        return profiles_wh()[row][profile] / 1000

    return energy_kwh


@pytest.fixture(scope="module")
def billed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[World, SimulatorServer, Account]]:
    plain = World(seed=11, sites=2, meters=9, created=CREATED)
    curves: dict[tuple[int | str, int | str], Callable[[datetime], float] | LoadCurve] = {}
    for site in plain.sites:
        for number, meter in enumerate(m for m in site.meters if m.mode != "introduction" and not m.is_rule_meter):
            if meter.type in {"electricity", "charge_point"}:
                curves[site.site_id, meter.id] = LoadCurve(
                    curve(number % 3, site.zone, 7 * number), resolution=Decimal("0.001")
                )
    world = World(seed=11, sites=2, meters=9, created=CREATED, load_curves=curves)
    with SimulatorServer(world, requests_per_second=None) as server:
        account = account_for(server, tmp_path_factory.mktemp("profiles"))
        for first, last, models in ((MARCH, date(2026, 3, 31), ["--no-models"]), (OCTOBER, date(2026, 10, 31), [])):
            finished = account.climkit("backfill", first.isoformat(), last.isoformat(), *models)
            assert finished.status == 0, finished.err
        yield world, server, account


def quarters_of_month(month: date, zone: ZoneInfo) -> list[datetime]:
    """The UTC starts of the quarter-hours whose local date lies in ``month``: a walk, no calendar of the project."""
    start = datetime(month.year, month.month, 1, tzinfo=UTC) - timedelta(days=1)
    walked = (start + timedelta(minutes=15 * n) for n in range(34 * 96))
    return [at for at in walked if (local := at.astimezone(zone)).year == month.year and local.month == month.month]


@pytest.mark.parametrize("month", [MARCH, OCTOBER])
def test_every_monthly_total_equals_the_measured_profile_added_up(
    billed: tuple[World, SimulatorServer, Account], month: date
) -> None:
    world, _, account = billed
    rows = account.rows(f"""
        select site_id, meter_id, total, solar, grid, intervals_expected, intervals_present, index_advance
        from billing_monthly where billing_month = '{month}'
    """)
    found = {(row[0], row[1]): row[2:] for row in rows}
    checked = 0
    for site in world.sites:
        quarters = quarters_of_month(month, site.zone)
        assert len(quarters) == {3: 2972, 10: 2980}[month.month]
        loads: dict[str, list[int]] = {}
        own = [m for m in site.meters if m.mode != "introduction" and not m.is_rule_meter]
        for number, meter in enumerate(own):
            if meter.type in {"electricity", "charge_point"}:
                rows_of = [
                    (position_of(at.astimezone(site.zone)) + 96 * 7 * number) % QUARTERS_A_YEAR for at in quarters
                ]
                loads[meter.id] = [profiles_wh()[row][number % 3] for row in rows_of]
        consumers = [m.id for m in site.meters if m.id in loads and m.mode == "consumption"]
        producers = [m.id for m in site.meters if m.id in loads and m.mode == "production"]
        net = [sum(parts) for parts in zip(*(loads[m] for m in consumers), strict=True)]
        made = [sum(parts) for parts in zip(*(loads[m] for m in producers), strict=True)]
        loads[next(m.id for m in site.meters if m.mode == "introduction")] = [
            max(0, used - produced) for used, produced in zip(net, made, strict=True)
        ]
        rule = next(m for m in site.meters if m.is_rule_meter)
        parts = [m.id for m in site.parts_of(rule)]
        loads[rule.id] = [sum(values) for values in zip(*(loads[m] for m in parts), strict=True)]
        for meter_id, wh in loads.items():
            total, solar, grid, expected, present, advance = found[site.site_id, meter_id]
            assert total == Decimal(sum(wh)) / 1000, (site.zone, meter_id)
            assert (expected, present) == (len(quarters), len(quarters))
            assert advance in {None, total}
            assert (solar is None) or solar + grid == total
            checked += 1
    electric = [m for site in world.sites for m in site.meters if m.type in {"electricity", "charge_point"}]
    assert checked == len(electric) == 12


@pytest.mark.parametrize(
    ("rule", "month_of"),
    [
        ("the UTC month of the stamp", lambda end, zone: (end.year, end.month)),
        ("the UTC month of the start", lambda end, zone: _month(end - timedelta(minutes=15))),
        ("the local month of the stamp", lambda end, zone: _month(end.astimezone(zone))),
    ],
)
def test_a_wrong_month_rule_gives_other_totals(
    billed: tuple[World, SimulatorServer, Account], rule: str, month_of: Callable[[datetime, ZoneInfo], tuple[int, int]]
) -> None:
    """Measured consumption is never 0 at midnight, so each of the three rules that look right is seen to be wrong."""
    world, _, account = billed
    site = world.sites[0]
    meter = next(m for m in site.meters if m.type == "electricity" and m.mode == "consumption" and not m.is_rule_meter)
    stamped = [
        (at + timedelta(minutes=15), curve(0, site.zone, 0)(at))
        for at in (datetime(2026, 9, 29, tzinfo=UTC) + timedelta(minutes=15 * n) for n in range(36 * 96))
    ]
    wrong = sum(Decimal(round(kwh * 1000)) for end, kwh in stamped if month_of(end, site.zone) == (2026, 10)) / 1000
    ((total,),) = account.rows(
        f"select total from billing_monthly where meter_id = '{meter.id}' and billing_month = '2026-10-01'"
    )
    right = sum(
        Decimal(round(kwh * 1000))
        for end, kwh in stamped
        if _month((end - timedelta(minutes=15)).astimezone(site.zone)) == (2026, 10)
    )
    assert total == right / 1000
    assert wrong != total, rule


def _month(instant: datetime) -> tuple[int, int]:
    return instant.year, instant.month


def test_a_second_backfill_of_the_same_range_makes_no_series_call(
    billed: tuple[World, SimulatorServer, Account],
) -> None:
    _, server, account = billed
    server.forget_calls()
    finished = account.climkit("backfill", "2026-10-01", "2026-10-31", "--no-models")
    assert finished.status == 0, finished.err
    endpoints = {call.endpoint for call in server.calls}
    assert "all_installations" in endpoints
    assert endpoints <= {"auth", "all_installations", "installation_infos", "meter_info", "sensors_list"}


def test_status_says_what_is_complete_and_what_was_never_asked(
    billed: tuple[World, SimulatorServer, Account],
) -> None:
    world, _, account = billed
    document = json.loads(account.climkit("status", "--json").out)
    entries = [entry for entry in document["datasets"] if entry["dataset"] == "meter_intervals"]
    assert {entry["site_id"] for entry in entries} == {site.site_id for site in world.sites}
    for entry in entries:
        assert (entry["complete"], entry["gaps"], entry["failed"], entry["pending"]) == (62, 0, 0, 0)
        assert entry["never_asked"] == (date(2026, 10, 1) - date(2026, 4, 1)).days
    months = {month["billing_month"]: month for month in document["months"]}
    assert months["2026-03-01"]["grade"] == months["2026-10-01"]["grade"] == "ready"
    assert months["2026-06-01"] == {"billing_month": "2026-06-01", "grade": "provisional", "meters": 18}
