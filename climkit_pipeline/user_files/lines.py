"""What the lines of the user's files may say: one class per file.

Here: what is accepted in each cell, and within one line. Not here: how the files are read (``csv_text``), and mistakes
that only several lines together show (``contradictions``).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Annotated, Generic, Literal, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from climkit_pipeline.domain.meters import METER_MODES
from climkit_pipeline.domain.periods import written_date

FIRST_DATE = date(1900, 1, 1)
"""Before it, a year is a slip of the pen, as 0026 for 2026."""
LAST_DATE = date(9999, 12, 31)
REGISTERS = ("import", "export", "heat", "volume")


def _as_date(text: object) -> object:
    if not isinstance(text, str):
        return text
    day = written_date(text)
    if day < FIRST_DATE:
        raise ValueError("long before there were meters")
    return day


def _as_instant(text: object) -> object:
    if not isinstance(text, str):
        return text
    if len(text) <= len("YYYY-MM-DD"):
        return _as_date(text)
    instant = datetime.fromisoformat(text)
    if instant.tzinfo is None:
        raise ValueError("a time without its offset from UTC")
    if not FIRST_DATE <= instant.date() < LAST_DATE:
        raise ValueError("long before there were meters, or no instant in UTC")
    return instant.astimezone(UTC)


def _as_boolean(text: object) -> object:
    if isinstance(text, str) and text.lower() not in {"true", "false"}:
        raise ValueError("not a truth value")
    return text


def _as_number(text: object) -> object:
    # Python reads 1_000 as a thousand; in a file it is a slip of the pen.
    if isinstance(text, str) and not re.fullmatch(r"[-+.0-9eE]+", text):
        raise ValueError("not a number")
    return text


LocalDate = Annotated[date, BeforeValidator(_as_date)]
Instant = Annotated[datetime | date, BeforeValidator(_as_instant)]
Flag = Annotated[bool, BeforeValidator(_as_boolean)]
Number = Annotated[Decimal, BeforeValidator(_as_number)]
WholeNumber = Annotated[int, BeforeValidator(_as_number)]

A_DATE = "a local date such as 2026-10-31 or 31.10.2026, from 1900 on"
A_SITE = "the id of a site, or its name where no other site has it"
A_METER = "the id of a meter, or its name where no other meter of the site has it"
A_CHECK = "the name of a check"


class Line(BaseModel):
    """One line of a file; the aliases are the names of its columns, the descriptions what is accepted there."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True, str_strip_whitespace=True)

    @classmethod
    def accepted_by_column(cls) -> dict[str, str]:
        """What is accepted in each column of the file, by the column's name."""
        return {field.alias or name: field.description or "" for name, field in cls.model_fields.items()}


class MeterFact(Line):
    """What is known of one meter while ``valid_from`` to ``valid_until``."""

    site_id: str = Field(description=A_SITE)
    meter_id: str = Field(description=A_METER)
    valid_from: LocalDate = Field(FIRST_DATE, description=A_DATE)
    valid_until: LocalDate = Field(LAST_DATE, description=f"{A_DATE}, the last day included")
    name: str | None = Field(None, description="what to call the meter, any text")
    mode: Literal["consumption", "production", "introduction", "battery"] | None = Field(
        None, description=f"what the meter is: {', '.join(METER_MODES)}"
    )
    register_map: Literal["swapped", "import", "export", "heat", "volume"] | None = Field(
        None, description=f"swapped, or the register that counts: {', '.join(REGISTERS)}"
    )
    resolution: Number | None = Field(
        None, gt=0, max_digits=18, decimal_places=6, description="one step of the index in the meter's unit, as 0.01"
    )
    installed_on: LocalDate | None = Field(None, description=f"{A_DATE}, on which the register began at 0")
    replaced_at: Instant | None = Field(
        None, description="an instant with its offset such as 2026-10-31T14:30+01:00, or a local date, from 1900 on"
    )
    in_service_from: LocalDate | None = Field(None, description=A_DATE)
    in_service_until: LocalDate | None = Field(None, description=f"{A_DATE}, the last day included")
    billing_point: str | None = Field(None, description="a name, the same for successive meters")
    is_billed: Flag | None = Field(None, description="true or false")
    interval_minutes: WholeNumber | None = Field(None, ge=1, le=1440, description="a whole number from 1 to 1440")
    note: str | None = Field(None, description="any text")

    @model_validator(mode="after")
    def _check_order(self) -> MeterFact:
        _check_order("valid_from", self.valid_from, "valid_until", self.valid_until)
        if self.in_service_from and self.in_service_until:
            _check_order("in_service_from", self.in_service_from, "in_service_until", self.in_service_until)
        if self.replaced_at is not None:
            replaced_on = self.replaced_at.date() if isinstance(self.replaced_at, datetime) else self.replaced_at
            # The instant is UTC and the dates are local: a day of tolerance, for any zone.
            first, last = _day(self.valid_from, -1), _day(self.valid_until, 1)
            if not first <= replaced_on <= last:
                raise ValueError(f"replaced_at {replaced_on} is not within valid_from and valid_until")
        return self


AnyStretch = TypeVar("AnyStretch", "Decision", "SetAside")


def _in_order(line: AnyStretch) -> AnyStretch:
    _check_order("from", line.first_day, "to", line.last_day)
    return line


class Decision(Line):
    """What a person decided about a check that failed, or about a stretch that is not billed."""

    check_name: str = Field(alias="check", description=A_CHECK)
    site_id: str = Field(description=A_SITE)
    meter_id: str | None = Field(None, description=f"{A_METER}, or nothing for every meter of the site")
    first_day: LocalDate = Field(alias="from", description=A_DATE)
    last_day: LocalDate = Field(alias="to", description=f"{A_DATE}, included")
    action: Literal["accept", "exclude"] = Field(description="accept or exclude")
    decided_by: str = Field(alias="who", description="who decided")
    reason: str = Field(alias="why", description="the reason, for whoever asks in two years")

    _check_order = model_validator(mode="after")(_in_order)


class Tolerance(Line):
    """Another tolerance of a check than the one it comes with."""

    check_name: str = Field(alias="check", description=A_CHECK)
    tolerance: Number = Field(
        ge=0, max_digits=18, decimal_places=6, description="a number from 0 on, in the unit of the check"
    )
    reason: str = Field(alias="why", description="the reason for another tolerance")


class SetAside(Line):
    """A meter or sensor that is known not to answer for a time."""

    site_id: str = Field(description=A_SITE)
    meter_id: str = Field(description="the id of a meter or sensor, or its name where no other of the site has it")
    first_day: LocalDate = Field(alias="from", description=A_DATE)
    last_day: LocalDate = Field(alias="to", description=f"{A_DATE}, included")
    decided_by: str = Field(alias="who", description="who knows of it")
    reason: str = Field(alias="why", description="the reason, for whoever asks")

    _check_order = model_validator(mode="after")(_in_order)


class Occupancy(Line):
    """Who occupies a billing point, and so is billed for it, while ``from`` to ``until``."""

    site: str = Field(description=A_SITE)
    billing_point: str = Field(description="a billing point of meters.csv, or the id or the name of a meter")
    occupant: str = Field(description="who is billed: a name or a key of your own")
    first_day: LocalDate = Field(FIRST_DATE, alias="from", description=A_DATE)
    last_day: LocalDate = Field(LAST_DATE, alias="until", description=f"{A_DATE}, the last day included")
    note: str | None = Field(None, description="any text")

    @model_validator(mode="after")
    def _check_order(self) -> Occupancy:
        _check_order("from", self.first_day, "until", self.last_day)
        return self


class SensorRole(Line):
    """What a sensor of a site measures, which its name and type do not tell."""

    site: str = Field(description="the id of a site, or its name where no other site has it")
    sensor: str = Field(
        description="the id of a sensor, or its name where no other sensor of the site has it; else NAME (TYPE)"
    )
    sensor_role: Literal["outdoor_temperature", "indoor_temperature"] = Field(
        alias="role", description="outdoor_temperature or indoor_temperature"
    )
    note: str | None = Field(None, description="any text")


def _check_order(first_name: str, first: date, last_name: str, last: date) -> None:
    if last < first:
        raise ValueError(f"{last_name} {last} is before {first_name} {first}")


def _day(day: date, offset: int) -> date:
    is_bound = day in {FIRST_DATE, LAST_DATE}
    return day if is_bound else day + timedelta(days=offset)


AnyLine = TypeVar("AnyLine", bound=Line)


@dataclass(frozen=True)
class Entry(Generic[AnyLine]):
    """A line of a file that is as it should be."""

    line: int
    content: AnyLine


@dataclass(frozen=True)
class UserInputs:
    """The user's files, checked; without lines where there is no file."""

    meter_facts: tuple[Entry[MeterFact], ...] = ()
    decisions: tuple[Entry[Decision], ...] = ()
    tolerances: tuple[Entry[Tolerance], ...] = ()
    set_aside: tuple[Entry[SetAside], ...] = ()
    occupancies: tuple[Entry[Occupancy], ...] = ()
    sensor_roles: tuple[Entry[SensorRole], ...] = ()
    notes: tuple[str, ...] = ()
    """What is to be said of a file, and is no mistake."""

    def __str__(self) -> str:
        counts = {
            "meters.csv": len(self.meter_facts),
            "decisions.csv": len(self.decisions),
            "tolerances.csv": len(self.tolerances),
            "set_aside.csv": len(self.set_aside),
            "occupancies.csv": len(self.occupancies),
            "sensors.csv": len(self.sensor_roles),
        }
        named = [f"{name}: {lines} line{'s' * (lines != 1)}" for name, lines in counts.items() if lines]
        return ", ".join(named) or "none given"
