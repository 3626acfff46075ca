"""Meter types and modes, and what follows from them: units, registers, which series exist.

Sources: the developer API's documentation (types and modes), the provider's articles on metering data and on the
split of photovoltaic energy. Unknown types and modes are kept as they come: the platform has more than it documents.
The models have all of this in their own table, the seed ``known_meter_types``; a test holds the two against each other.
"""

from __future__ import annotations

ELECTRICITY = "electricity"
CHARGE_POINT = "charge_point"
REACTIVE = "reactive"
HEATING = "heating"
COOLING = "cooling"
COLD_WATER = "cold_water"
HOT_WATER = "hot_water"
METER_TYPES = (ELECTRICITY, CHARGE_POINT, REACTIVE, HEATING, COOLING, COLD_WATER, HOT_WATER)

CONSUMPTION = "consumption"
PRODUCTION = "production"
INTRODUCTION = "introduction"
BATTERY = "battery"
METER_MODES = (CONSUMPTION, PRODUCTION, INTRODUCTION, BATTERY)

SITE_SERIES_TYPES = (ELECTRICITY, HEATING, COOLING, COLD_WATER, HOT_WATER, CHARGE_POINT)
"""The types that ``/site_data`` takes."""

SPLIT_TYPES = frozenset({ELECTRICITY, CHARGE_POINT})
"""Types whose consumption the provider splits into solar and grid."""

WATER_TYPES = frozenset({COLD_WATER, HOT_WATER})
THERMAL_TYPES = frozenset({HEATING, COOLING})


def unit_of(meter_type: str) -> str | None:
    """The unit of the quantity that a meter of this type counts: kWh, kvarh or m3; None for an unknown type."""
    if meter_type in SPLIT_TYPES or meter_type in THERMAL_TYPES:
        return "kWh"
    if meter_type in WATER_TYPES:
        return "m3"
    if meter_type == REACTIVE:
        return "kvarh"
    return None


def has_split(meter_type: str, meter_mode: str) -> bool:
    """Whether total = solar + grid has a meaning: for electricity consumed, nowhere else."""
    return meter_type in SPLIT_TYPES and meter_mode == CONSUMPTION


def site_series_types(meter_types: set[str]) -> list[str]:
    """The types for which a site with meters of ``meter_types`` has a series of its own, in the API's order."""
    return [series for series in SITE_SERIES_TYPES if series in meter_types]
