"""Who and what is simulated: sites, meters and sensors with made-up names, ids and places.

Here: identity only, drawn from the seed. Not here: what the meters count (``simulator.profiles``,
``simulator.registers``).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

from climkit_pipeline.domain.meters import (
    CHARGE_POINT,
    COLD_WATER,
    CONSUMPTION,
    ELECTRICITY,
    HEATING,
    HOT_WATER,
    INTRODUCTION,
    PRODUCTION,
    has_split,
)
from climkit_pipeline.simulator.profiles import dice, digest

WATT_HOUR = Decimal("0.001")
TEN_WATT_HOURS = Decimal("0.01")
LITRE = Decimal("0.001")
HECTOWATT_HOUR = Decimal("0.1")
KILOWATT_HOUR = Decimal(1)

FIRST_POSITIONS = (
    "flat",
    "grid",
    "photovoltaics",
    "rule",
    "building_heat",
    "hot_water",
    "cold_water",
    "charge_point",
    "common_area",
)
FURTHER_POSITIONS = ("flat", "flat", "flat", "flat", "flat", "flat_heat", "flat", "hot_water")

STREETS = {
    "Europe/Zurich": ("Rue des Tilleuls", "Lindenweg", "Chemin du Verger", "Birkenstrasse", "Avenue du Lac"),
    "Europe/Lisbon": ("Rua das Oliveiras", "Travessa do Poço", "Rua do Moinho", "Largo da Fonte"),
    "America/New_York": ("Linden Street", "Orchard Lane", "Mill Road"),
}
TOWNS = {
    "Europe/Zurich": (("Morges", 1110), ("Burgdorf", 3400), ("Nyon", 1260), ("Uster", 8610), ("Bulle", 1630)),
    "Europe/Lisbon": (("Lisboa", 1200), ("Setúbal", 2900), ("Sintra", 2710)),
    "America/New_York": (("Ithaca", 14850), ("Kingston", 12401)),
}
PLACES = {"Europe/Zurich": (46.9, 7.2), "Europe/Lisbon": (38.7, -9.1), "America/New_York": (42.3, -75.2)}
ZONES = ("Europe/Zurich", "Europe/Lisbon", "Europe/Zurich")
"""Of successive sites, again and again, unless the world names others. In New York, clocks change on other days."""


@dataclass(frozen=True, slots=True)
class Meter:
    """One meter as ``/meter_info`` lists it, with the smallest step of its register."""

    id: str
    type: str
    mode: str
    name: str
    prim_ad: int
    is_rule_meter: bool
    resolution: Decimal
    """In kWh or m3."""
    kind: str
    """What it stands for in the simulated house: ``flat``, ``grid``, ``photovoltaics`` and so on."""

    @property
    def has_split(self) -> bool:
        """Whether its energy is split into solar and grid."""
        return has_split(self.type, self.mode)


@dataclass(frozen=True, slots=True)
class Sensor:
    """One sensor as ``/sensors_list`` lists it."""

    id: str
    name: str
    type: str
    unit: str
    model: str


@dataclass(frozen=True)
class Site:
    """One site: where it is, since when, and what is installed."""

    position: int
    site_id: str
    site_ref: str
    name: str
    street_name: str
    street_number: str
    city: str
    postal_code: int
    latitude: float
    longitude: float
    zone: ZoneInfo
    created: date
    meters: tuple[Meter, ...]
    sensors: tuple[Sensor, ...]

    def meter(self, meter_id: str) -> Meter:
        """The meter with this id; KeyError if the site has none."""
        for meter in self.meters:
            if meter.id == meter_id:
                return meter
        raise KeyError(meter_id)

    def sensor(self, sensor_id: str) -> Sensor:
        """The sensor with this id; KeyError if the site has none."""
        for sensor in self.sensors:
            if sensor.id == sensor_id:
                return sensor
        raise KeyError(sensor_id)

    def of_kind(self, *kinds: str) -> tuple[Meter, ...]:
        """The meters that stand for any of ``kinds``, in listing order."""
        return tuple(meter for meter in self.meters if meter.kind in kinds)

    @property
    def counted_consumers(self) -> tuple[Meter, ...]:
        """The meters whose sum is the site's consumption of electricity: consumption, charge points, no rule meter."""
        return tuple(meter for meter in self.meters if meter.has_split and not meter.is_rule_meter)

    @property
    def grid_meter(self) -> Meter | None:
        """The introduction meter."""
        return next((meter for meter in self.meters if meter.mode == INTRODUCTION), None)

    @property
    def production_meters(self) -> tuple[Meter, ...]:
        """The meters of the photovoltaic plant."""
        return tuple(meter for meter in self.meters if meter.mode == PRODUCTION)

    def parts_of(self, rule_meter: Meter) -> tuple[Meter, ...]:
        """The meters that a rule meter sums: common areas and charge points, or else the first two flats."""
        if not rule_meter.is_rule_meter:
            raise ValueError(f"{rule_meter.name} is no rule meter")
        return self.of_kind("common_area", "charge_point") or self.of_kind("flat")[:2]


def object_id(*parts: object) -> str:
    """An id of 24 hexadecimal digits, like those of the real platform."""
    return digest(*parts, size=12).hex()


def _flat_name(position: int) -> str:
    floor, side = divmod(position, 3)
    return f"Flat {floor}.{side + 1} {('left', 'middle', 'right')[side]}"


def _meter(site_id: str, position: int) -> Meter:
    further = position - len(FIRST_POSITIONS)
    kind = FIRST_POSITIONS[position] if further < 0 else FURTHER_POSITIONS[further % len(FURTHER_POSITIONS)]
    flat = _flat_name(0 if further < 0 else further + 1)
    heated, supplied = _flat_name(further - 4).lower(), _flat_name(further - 6).lower()
    meter_type, mode, name, resolution = {
        "flat": (ELECTRICITY, CONSUMPTION, flat, WATT_HOUR),
        "grid": (ELECTRICITY, INTRODUCTION, "Grid connection", WATT_HOUR),
        "photovoltaics": (ELECTRICITY, PRODUCTION, "Photovoltaics roof", WATT_HOUR),
        "rule": (ELECTRICITY, CONSUMPTION, "Common costs (sum)", WATT_HOUR),
        "building_heat": (HEATING, CONSUMPTION, "Heating building", KILOWATT_HOUR),
        "flat_heat": (HEATING, CONSUMPTION, f"Heating {heated}", HECTOWATT_HOUR),
        "hot_water": (HOT_WATER, CONSUMPTION, "Hot water" if further < 0 else f"Hot water {supplied}", LITRE),
        "cold_water": (COLD_WATER, CONSUMPTION, "Cold water building", LITRE),
        "charge_point": (CHARGE_POINT, CONSUMPTION, "Charge point parking 1", WATT_HOUR),
        "common_area": (ELECTRICITY, CONSUMPTION, "Common areas", TEN_WATT_HOURS),
    }[kind]
    return Meter(
        id=object_id(site_id, "meter", position),
        type=meter_type,
        mode=mode,
        name=name,
        prim_ad=0 if kind == "rule" else position % 250 + 1,
        is_rule_meter=kind == "rule",
        resolution=resolution,
        kind=kind,
    )


def _sensors(site_id: str, position: int) -> tuple[Sensor, ...]:
    if position % 3 == 2:
        return ()
    outdoor = Sensor(object_id(site_id, "sensor", 0), "Outdoor north wall", "temperature", "°C", "TH-2 LoRa")
    if position % 3 == 0:
        return outdoor, Sensor(object_id(site_id, "sensor", 1), "Outdoor north wall", "humidity", "%", "TH-2 LoRa")
    return outdoor, Sensor(object_id(site_id, "sensor", 1), "Staircase", "co2", "ppm", "AQ-1 LoRa")


def build_site(seed: int, position: int, *, meters: int, created: date, zones: Sequence[str] = ZONES) -> Site:
    """Site number ``position`` of a seed: the same whatever the number of sites; more meters only add to it.

    Positions cycle through ``zones``, and every third site has no sensors. Sites come into being 2 to 55 days after
    ``created``.
    """
    site_id = object_id(seed, "site", position)
    zone = zones[position % len(zones)]
    traits = dice(seed, "place", position)
    street, number = traits.choice(STREETS[zone]), str(traits.randrange(1, 60))
    city, postal_code = traits.choice(TOWNS[zone])
    latitude, longitude = PLACES[zone]
    return Site(
        position=position,
        site_id=site_id,
        site_ref=f"SIM-{position + 1:04d}",
        name=f"{street} {number}",
        street_name=street,
        street_number=number,
        city=city,
        postal_code=postal_code,
        latitude=round(latitude + traits.uniform(-0.3, 0.3), 5),
        longitude=round(longitude + traits.uniform(-0.3, 0.3), 5),
        zone=ZoneInfo(zone),
        created=created + timedelta(days=2 + (12 + 11 * position) % 54),
        meters=tuple(_meter(site_id, meter) for meter in range(meters)),
        sensors=_sensors(site_id, position),
    )
