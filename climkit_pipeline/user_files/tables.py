"""The tables that the models read of the user's files, in schema ``pipeline``."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, fields
from datetime import date, datetime
from zoneinfo import ZoneInfo

import polars as pl

from climkit_pipeline.domain.periods import local_midnight_utc
from climkit_pipeline.lake.layout import Layout
from climkit_pipeline.lake.site_zones import filed_zones
from climkit_pipeline.user_files.lines import UserInputs

FACTS_SCHEMA: dict[str, pl.DataType | type[pl.DataType]] = {
    "site_id": pl.String,
    "meter_id": pl.String,
    "valid_from": pl.Date,
    "valid_until": pl.Date,
    "meter_name": pl.String,
    "meter_mode": pl.String,
    "register_map": pl.String,
    "resolution": pl.Decimal(18, 6),
    "installed_on": pl.Date,
    "replaced_at_utc": pl.Datetime("us", "UTC"),
    "in_service_from": pl.Date,
    "in_service_until": pl.Date,
    "billing_point": pl.String,
    "is_billed": pl.Boolean,
    "interval_minutes": pl.Int32,
    "note": pl.String,
}
DECISIONS_SCHEMA: dict[str, pl.DataType | type[pl.DataType]] = {
    "check_name": pl.String,
    "site_id": pl.String,
    "meter_id": pl.String,
    "first_day": pl.Date,
    "last_day": pl.Date,
    "action": pl.String,
    "decided_by": pl.String,
    "reason": pl.String,
}
TOLERANCES_SCHEMA: dict[str, pl.DataType | type[pl.DataType]] = {
    "check_name": pl.String,
    "tolerance": pl.Decimal(18, 6),
    "reason": pl.String,
}
OCCUPANCIES_SCHEMA: dict[str, pl.DataType | type[pl.DataType]] = {
    "site": pl.String,
    "billing_point": pl.String,
    "occupant": pl.String,
    "first_day": pl.Date,
    "last_day": pl.Date,
}
SENSOR_ROLES_SCHEMA: dict[str, pl.DataType | type[pl.DataType]] = {
    "site": pl.String,
    "sensor": pl.String,
    "sensor_role": pl.String,
}


@dataclass(frozen=True)
class InputTables:
    """What the models read of the user's files: the tables of schema ``pipeline`` with these names."""

    meter_facts: pl.DataFrame
    decisions: pl.DataFrame
    tolerances: pl.DataFrame
    occupancies: pl.DataFrame
    sensor_roles: pl.DataFrame

    @property
    def by_name(self) -> dict[str, pl.DataFrame]:
        """By the name that each has in schema ``pipeline``."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    @property
    def digest(self) -> str:
        """A short hash of all rows: comments, order of columns and of lines have no part in it."""
        rows = [sorted(json.dumps(row, default=str) for row in frame.iter_rows()) for frame in self.by_name.values()]
        return hashlib.sha256(json.dumps(rows).encode()).hexdigest()[:16]


def input_tables(inputs: UserInputs, layout: Layout, default_timezone: str) -> InputTables:
    """The tables for the models; a replacement known by its date happened at the start of that day at the site."""
    zones: dict[str, ZoneInfo] = {}
    if any(_is_plain_date(entry.content.replaced_at) for entry in inputs.meter_facts):
        zones = filed_zones(layout)
    facts = []
    for entry in inputs.meter_facts:
        fact = entry.content
        zone = zones.get(fact.site_id, ZoneInfo(default_timezone))
        replaced_at = fact.replaced_at
        if replaced_at is not None and not isinstance(replaced_at, datetime):
            replaced_at = local_midnight_utc(replaced_at, zone)
        stated = fact.model_dump(exclude={"replaced_at", "name", "mode"})
        facts.append({**stated, "meter_name": fact.name, "meter_mode": fact.mode, "replaced_at_utc": replaced_at})
    return InputTables(
        pl.DataFrame(facts, schema=FACTS_SCHEMA),
        pl.DataFrame([entry.content.model_dump() for entry in inputs.decisions], schema=DECISIONS_SCHEMA),
        pl.DataFrame([entry.content.model_dump() for entry in inputs.tolerances], schema=TOLERANCES_SCHEMA),
        pl.DataFrame(
            [entry.content.model_dump(include=set(OCCUPANCIES_SCHEMA)) for entry in inputs.occupancies],
            schema=OCCUPANCIES_SCHEMA,
        ),
        pl.DataFrame(
            [entry.content.model_dump(include=set(SENSOR_ROLES_SCHEMA)) for entry in inputs.sensor_roles],
            schema=SENSOR_ROLES_SCHEMA,
        ),
    )


def _is_plain_date(value: datetime | date | None) -> bool:
    return value is not None and not isinstance(value, datetime)
