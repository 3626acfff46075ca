"""Accounts that have one kind of meter, or none: every build works for them, and what it says is right."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal

import pytest
from built_warehouse import SETTINGS, Built
from fault_lake import EXPORT, HOUR, FaultLake, counted
from small_lake import OCTOBER, ZURICH, midnight

from climkit_pipeline.lake.layout import Layout
from climkit_pipeline.warehouse.refresh import refresh

SITE = "alone"


def with_meter(register: str | None = None, *, is_rule: bool = False, **arguments: str) -> Callable[[FaultLake], None]:
    """One meter, with a register that counts its intervals, or without any."""

    def fill(house: FaultLake) -> None:
        series = house.add_meter(SITE, is_rule=is_rule, **arguments)
        if register:
            house.read(SITE, counted(series, register=register))

    return fill


def with_battery(house: FaultLake) -> None:
    charged = counted(house.add_meter(SITE, mode="battery"))
    house.read(SITE, {at: {**row, EXPORT: Decimal(7)} for at, row in charged.items()})


def with_sensor(house: FaultLake) -> None:
    for day in OCTOBER:
        house.lake.add(
            "sensors", day, site_id=SITE, sensor_id="t", sensor_name="Hall", sensor_type="temperature", unit="C"
        )
        house.lake.add(
            "sensor_readings", day, site_id=SITE, sensor_id="t", read_at_utc=midnight(day, ZURICH) + HOUR,
            reading=20.0,
        )  # fmt: skip
        house.lake.cover("sensor_readings", day, SITE, "t")


ACCOUNTS: dict[str, tuple[Callable[[FaultLake], None], bool]] = {
    # What the account has, and whether a register tells what its meter counted.
    "heating": (with_meter("heat_kwh", type_="heating"), True),
    "unread heating": (with_meter(type_="heating"), False),
    "cold water": (with_meter("volume_m3", type_="cold_water"), True),
    "production": (with_meter(EXPORT, mode="production"), True),
    "a battery": (with_battery, False),
    "a rule meter": (with_meter(type_="heating", is_rule=True), False),
    "a sensor": (with_sensor, False),
    "no meter": (lambda _: None, False),
}


@pytest.mark.parametrize(
    "kind", [pytest.param(kind, marks=pytest.mark.story if kind != "heating" else ()) for kind in ACCOUNTS]
)
def test_an_account_of_one_kind_is_built_and_its_meter_is_counted(tmp_path, kind):
    """Heating or water alone: DuckDB could not compare a name that is null in every row, and nothing was published."""
    house, (fill, is_counted) = FaultLake(), ACCOUNTS[kind]
    house.add_site(SITE)
    fill(house)
    layout = Layout(tmp_path)
    house.write(layout)
    built = Built(layout, lambda: house.lake, refresh(layout, SETTINGS))
    rows = built.rows("select total, index_advance, index_difference from billing_monthly")
    totals = [house.total(*meter) for meter in house.stated]
    assert rows == [(total, total, 0) if is_counted else (total, None, None) for total in totals]
    assert built.rows("select count(*) from sites") == [(1,)]
