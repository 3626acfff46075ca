"""How believable meters and sensors behave: the energy of each quarter-hour, drawn from seeds alone.

Here: dice, weather, and one class per kind of load. Not here: indices, registers, the split (``simulator.world``).

Quantities are integers of 1e-9 kWh (or m3), called *nano* below: integers add up exactly in any order and over any
number of years, so that an index never depends on how it was reached. Days are UTC days, numbered from 1970-01-01;
habits follow the local clock, so a day comes with the local quarter-hour of each of its 96 quarter-hours.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from hashlib import blake2b
from random import Random
from typing import Protocol
from zoneinfo import ZoneInfo

QUARTERS_PER_DAY = 96
SECONDS_PER_QUARTER = 900
NANO = 1_000_000_000
EPOCH_DAY = date(1970, 1, 1)
WEEKEND_OFFSET = QUARTERS_PER_DAY
"""Habits are tables of 192 entries: a local weekday, then a local Saturday or Sunday."""


def digest(*parts: object, size: int = 8) -> bytes:
    """The same ``size`` bytes for the same parts, on any machine and in any process."""
    return blake2b("/".join(map(str, parts)).encode(), digest_size=size).digest()


def dice(*parts: object) -> Random:
    """A generator that depends on ``parts`` only."""
    return Random(int.from_bytes(digest(*parts), "big"))  # noqa: S311 - simulated loads, no secrets


def day_number(day: date) -> int:
    """Days since 1970-01-01."""
    return (day - EPOCH_DAY).days


@lru_cache(maxsize=4096)
def local_slots(zone: ZoneInfo, day: int) -> tuple[int, ...]:
    """For each quarter-hour of the UTC ``day``, its local quarter-hour of the day (0..95), plus 96 at weekends."""
    slots: list[int] = []
    midnight = datetime.combine(EPOCH_DAY + timedelta(days=day), datetime.min.time(), tzinfo=UTC)
    for hour in range(24):
        local = (midnight + timedelta(hours=hour)).astimezone(zone)
        first = local.hour * 4 + local.minute // 15 + (WEEKEND_OFFSET if local.weekday() >= 5 else 0)
        slots.extend(range(first, first + 4))
    return tuple(slots)


@dataclass(frozen=True, slots=True)
class Day:
    """What a load needs to know about one UTC day at one site."""

    number: int
    slots: tuple[int, ...]
    previous_slots: tuple[int, ...]
    temperature: float
    """Outdoor mean in degrees Celsius."""
    clearness: float
    """0 (dull) to 1 (clear sky)."""

    @property
    def year_angle(self) -> float:
        """The season as an angle: 0 at the turn of the year."""
        return 2 * math.pi * (self.number % 365.2425) / 365.2425

    @property
    def winter(self) -> float:
        """1 in mid-January, -1 in mid-July."""
        return math.cos(self.year_angle - 0.26)


class Load(Protocol):
    """Anything that a meter can count."""

    def quarters(self, day: Day) -> list[int]:
        """The 96 quantities of the UTC day, in nano units, none negative."""
        ...


class Weather:
    """Temperature and clearness of a place, each day resembling the days before it."""

    def __init__(self, key: tuple[object, ...], *, mean: float, swing: float) -> None:
        self._key = key
        self._mean = mean
        self._swing = swing

    def _persistent(self, name: str, day: int) -> float:
        weights = (0.62, 0.5, 0.42, 0.34, 0.24)
        return sum(weight * dice(*self._key, name, day - lag).gauss(0.0, 1.0) for lag, weight in enumerate(weights))

    def day(self, number: int, zone: ZoneInfo) -> Day:
        """The day with its weather, the same whenever it is asked for."""
        season = math.cos(2 * math.pi * ((number - 18) % 365.2425) / 365.2425)
        clearness = 1 / (1 + math.exp(-0.35 + 0.35 * season - 1.5 * self._persistent("cloud", number)))
        return Day(
            number=number,
            slots=local_slots(zone, number),
            previous_slots=local_slots(zone, number - 1),
            temperature=self._mean - self._swing * season + 2.8 * self._persistent("temperature", number),
            clearness=clearness,
        )


def bumps(base: float, *peaks: tuple[float, float, float]) -> list[float]:
    """A daily curve of 96 values with mean 1: ``base`` plus bells of (local hour, width in hours, height)."""
    curve = []
    for slot in range(QUARTERS_PER_DAY):
        value = base
        for hour, width, height in peaks:
            distance = abs(slot / 4 + 0.125 - hour)
            distance = min(distance, 24 - distance)
            value += height * math.exp(-((distance / width) ** 2) / 2)
        curve.append(value)
    mean = sum(curve) / QUARTERS_PER_DAY
    return [value / mean for value in curve]


class Flat:
    """A household: fridge and standby, morning and evening peaks, a few appliances, holidays, at times nobody."""

    def __init__(self, key: tuple[object, ...]) -> None:
        self._key = key
        traits = dice(*key, "traits")
        shift = traits.uniform(-0.8, 0.8)
        self._habit = bumps(
            0.25, (6.9 + shift, 0.8, 1.2), (12.2, 0.8, traits.uniform(0.2, 1.0)), (19.2 + shift, 1.9, 2.0)
        ) + bumps(0.3, (9.4 + shift, 1.6, 1.0), (12.6, 1.2, 1.4), (19.4 + shift, 2.2, 1.7))
        self._base = traits.uniform(0.008, 0.022) * NANO
        self._active = traits.uniform(0.022, 0.062) * NANO
        self._appliances = traits.uniform(0.4, 2.4)
        self._vacant_from, self._vacant_until = 0, 0
        if traits.random() < 0.15:
            self._vacant_from = day_number(date(2025, 6, 1)) + traits.randrange(540)
            self._vacant_until = self._vacant_from + traits.randrange(45, 130)

    def quarters(self, day: Day) -> list[int]:
        """A day of the household; zero throughout while nobody rents it and the fuse is out."""
        if self._vacant_from <= day.number < self._vacant_until:
            return [0] * QUARTERS_PER_DAY
        drawn = dice(*self._key, day.number)
        roll = drawn.random
        base = self._base
        if dice(*self._key, "absence", day.number // 8).random() < 0.07:
            return [int(base * (0.7 + 0.6 * roll())) for _ in range(QUARTERS_PER_DAY)]
        active = self._active * (1 + 0.16 * day.winter) * math.exp(drawn.gauss(0.0, 0.18))
        habit = self._habit
        energies = [
            int(base * (0.7 + 0.6 * roll()) + active * habit[slot] * (0.25 + 1.5 * roll())) for slot in day.slots
        ]
        for _ in range(int(self._appliances + drawn.random())):
            start = drawn.randrange(24, 88)
            for quarter in range(start, min(start + drawn.randrange(2, 7), QUARTERS_PER_DAY)):
                energies[quarter] += int(NANO * drawn.uniform(0.06, 0.38))
        return energies


class CommonArea:
    """Stairs, lift, ventilation, heating pump: steady, more light on winter evenings."""

    def __init__(self, key: tuple[object, ...]) -> None:
        self._key = key
        traits = dice(*key, "traits")
        self._base = traits.uniform(0.03, 0.06) * NANO
        self._light = bumps(0.05, (7.0, 1.0, 0.6), (19.5, 2.2, 1.0)) * 2

    def quarters(self, day: Day) -> list[int]:
        """A day of the common installations."""
        roll = dice(*self._key, day.number).random
        base, light = self._base, 0.05 * NANO * (1 + 0.6 * day.winter)
        return [
            int(base * (0.8 + 0.4 * roll()) + light * self._light[slot] * (0.6 + 0.8 * roll())) for slot in day.slots
        ]


class ChargePoint:
    """Charging sessions, mostly in the evening, and the station's own standby."""

    def __init__(self, key: tuple[object, ...]) -> None:
        self._key = key
        traits = dice(*key, "traits")
        self._per_quarter = traits.choice((0.925, 1.85, 2.75)) * NANO
        self._frequency = traits.uniform(0.35, 0.7)

    def _sessions(self, number: int, slots: tuple[int, ...]) -> list[tuple[int, int]]:
        drawn = dice(*self._key, "session", number)
        if drawn.random() > self._frequency:
            return []
        weekend = slots[48] >= WEEKEND_OFFSET
        wanted = drawn.randrange(36, 72) if weekend and drawn.random() < 0.6 else drawn.randrange(66, 90)
        local = [slot % WEEKEND_OFFSET for slot in slots]
        quarter = local.index(wanted)
        left = drawn.uniform(3.0, 34.0) * NANO
        energies = []
        while left > 0:
            energy = min(left, self._per_quarter * drawn.uniform(0.96, 1.0))
            energies.append((quarter, int(energy)))
            left -= energy
            quarter += 1
        return energies

    def quarters(self, day: Day) -> list[int]:
        """A day at the charge point, with what a session of the evening before left over."""
        energies = [1_500_000] * QUARTERS_PER_DAY
        for quarter, energy in self._sessions(day.number - 1, day.previous_slots):
            if QUARTERS_PER_DAY <= quarter < 2 * QUARTERS_PER_DAY:
                energies[quarter - QUARTERS_PER_DAY] += energy
        for quarter, energy in self._sessions(day.number, day.slots):
            if quarter < QUARTERS_PER_DAY:
                energies[quarter] += energy
        return energies


class Photovoltaics:
    """A plant under sun and clouds: exactly zero while the sun is below the horizon."""

    def __init__(self, key: tuple[object, ...], *, latitude: float, longitude: float) -> None:
        self._key = key
        self._peak_kw = dice(*key, "traits").uniform(14.0, 28.0)
        self._sin_latitude = math.sin(math.radians(latitude))
        self._cos_latitude = math.cos(math.radians(latitude))
        self._longitude = longitude

    def sun_heights(self, day: Day) -> list[float]:
        """The sine of the sun's height in the middle of each quarter-hour (declination after Cooper, 1969)."""
        angle = 2 * math.pi * (day.number % 365.2425 + 285) / 365.2425
        declination = math.radians(23.45) * math.sin(angle)
        up = self._sin_latitude * math.sin(declination)
        across = self._cos_latitude * math.cos(declination)
        noon_turn = math.radians(self._longitude - 180)
        step = 2 * math.pi / QUARTERS_PER_DAY
        return [up + across * math.cos((quarter + 0.5) * step + noon_turn) for quarter in range(QUARTERS_PER_DAY)]

    def quarters(self, day: Day) -> list[int]:
        """A day of production."""
        roll = dice(*self._key, day.number).random
        clear = 0.12 + 0.88 * day.clearness
        broken = 4 * day.clearness * (1 - day.clearness)
        full = self._peak_kw / 4 * 0.86 * NANO
        cloud = 0.5
        energies = []
        for height in self.sun_heights(day):
            if height <= 0:
                energies.append(0)
                continue
            cloud += 0.45 * (roll() - cloud)
            energies.append(int(full * height**1.2 * clear * (1 - 0.8 * broken * cloud)))
        return energies


class Heating:
    """Heat by outdoor temperature: nothing on warm days."""

    def __init__(self, key: tuple[object, ...], *, kwh_per_degree_day: float) -> None:
        self._key = key
        self._demand = kwh_per_degree_day * dice(*key, "traits").uniform(0.75, 1.25) * NANO
        self._habit = bumps(0.8, (6.5, 1.5, 0.7), (19.0, 2.5, 0.4)) * 2

    def quarters(self, day: Day) -> list[int]:
        """A day of heat."""
        demand = self._demand * max(0.0, 15.5 - day.temperature) / QUARTERS_PER_DAY
        if demand <= 0:
            return [0] * QUARTERS_PER_DAY
        roll = dice(*self._key, day.number).random
        return [int(demand * self._habit[slot] * (0.7 + 0.6 * roll())) for slot in day.slots]


class Water:
    """Water drawn now and then, hardly at night."""

    def __init__(self, key: tuple[object, ...], *, cubic_metres_per_day: float) -> None:
        self._key = key
        self._scale = cubic_metres_per_day * dice(*key, "traits").uniform(0.6, 1.4) * NANO
        weekday = bumps(0.02, (6.9, 0.8, 1.4), (12.2, 0.8, 0.5), (19.2, 1.8, 1.0))
        weekend = bumps(0.03, (9.3, 1.6, 1.3), (12.6, 1.0, 0.6), (19.2, 2.0, 0.9))
        self._chance = [min(0.9, 0.22 * value) for value in weekday + weekend]

    def quarters(self, day: Day) -> list[int]:
        """A day of water."""
        roll = dice(*self._key, day.number).random
        scale, chance = self._scale / 10, self._chance
        return [int(scale * (0.1 + 1.2 * roll())) if roll() < chance[slot] else 0 for slot in day.slots]


class Measured:
    """A load from outside the simulation: a curve that names the quantity of each quarter-hour."""

    def __init__(self, curve: Callable[[datetime], float]) -> None:
        self._curve = curve

    def quarters(self, day: Day) -> list[int]:
        """The curve's 96 quantities, rounded to 1e-9."""
        start = day.number * QUARTERS_PER_DAY
        energies = [round(self._curve(instant(start + quarter)) * NANO) for quarter in range(QUARTERS_PER_DAY)]
        if min(energies) < 0:
            raise ValueError("a load curve may not be negative: a register never runs backwards")
        return energies


class Interrupted:
    """A load that is nothing during some spans, given as quarter-hours since 1970: (first, last], by their ends."""

    def __init__(self, load: Load, spans: Sequence[tuple[int, int]]) -> None:
        self._load = load
        self._spans = spans

    def quarters(self, day: Day) -> list[int]:
        """The load's 96 quantities, or 0 where it is interrupted."""
        first_end = day.number * QUARTERS_PER_DAY + 1
        return [
            0 if any(first < end <= last for first, last in self._spans) else energy
            for end, energy in enumerate(self._load.quarters(day), start=first_end)
        ]


def instant(quarter: int) -> datetime:
    """The instant ``quarter`` quarter-hours after 1970-01-01 00:00 UTC."""
    return datetime.fromtimestamp(quarter * SECONDS_PER_QUARTER, UTC)


def quarter_of(moment: datetime) -> int:
    """How many whole quarter-hours lie between 1970-01-01 00:00 UTC and ``moment``."""
    return math.floor(moment.timestamp()) // SECONDS_PER_QUARTER


def sensor_values(kind: str, key: tuple[object, ...], day: Day) -> list[float]:
    """What a sensor reads at the end of each quarter-hour of the UTC day: temperature, humidity or co2."""
    roll = dice(*key, day.number).random
    curve = [math.sin(2 * math.pi * (slot % WEEKEND_OFFSET / 4 - 9.5) / 24) for slot in day.slots]
    if kind == "temperature":
        return [round(day.temperature + 3.6 * wave + 0.5 * (roll() - 0.5), 1) for wave in curve]
    if kind == "humidity":
        middle = 68 - 16 * (day.clearness - 0.5) + 6 * day.winter
        return [round(max(15.0, min(100.0, middle - 11 * wave + 3 * (roll() - 0.5))), 1) for wave in curve]
    presence = bumps(0.2, (7.5, 1.5, 0.8), (21.0, 2.5, 1.4), (2.0, 4.0, 0.8))
    return [round(415 + 240 * presence[slot % WEEKEND_OFFSET] * (0.9 + 0.2 * roll())) for slot in day.slots]
