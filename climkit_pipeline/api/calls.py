"""The nine calls of the API as values: what to send, and what the call is about.

Source: the provider's developer documentation. Periods are half-open in UTC; ``t_s`` and ``t_e`` go out as ISO
without a zone, which the API reads as UTC. Ids are data: they are quoted.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal
from urllib.parse import quote

from climkit_pipeline.domain.periods import Period
from climkit_pipeline.errors import UnexpectedPayloadError

Frequency = Literal["15T", "H", "D", "M", "Y"]

AUTH = "auth"
ALL_INSTALLATIONS = "all_installations"
INSTALLATION_INFOS = "installation_infos"
METER_INFO = "meter_info"
SITE_DATA = "site_data"
METER_DATA = "meter_data"
METER_DATA_RAW = "meter_data_raw"
SENSORS_LIST = "sensors_list"
SENSOR_DATA = "sensor_data"


@dataclass(frozen=True, slots=True)
class Call:
    """One request, ready to send except for the token."""

    endpoint: str
    method: Literal["GET", "POST"]
    path: str
    site_id: str | None = None
    subject_id: str | None = None
    """The meter, the sensor or the meter type that the call is about."""
    period: Period | None = None
    params: Mapping[str, str] = field(default_factory=dict)
    body: Mapping[str, Any] | None = None
    purpose: str | None = None
    """What it is made for, in a word, for the ledger."""

    def __str__(self) -> str:
        about = " ".join(part for part in (self.site_id, self.subject_id) if part)
        return f"{self.endpoint} {about}".rstrip()


def naive_utc(instant: datetime) -> str:
    """The form of an instant that the API documents: ISO in UTC without a zone."""
    return instant.replace(tzinfo=None).isoformat(timespec="seconds")


def _bounds(period: Period) -> dict[str, str]:
    return {"t_s": naive_utc(period.start_utc), "t_e": naive_utc(period.end_utc)}


def _quoted(identifier: str) -> str:
    if identifier in {"", ".", ".."}:  # dots need no quoting, so they would climb to another resource
        raise UnexpectedPayloadError(f"not an id: {identifier!r}")
    return quote(identifier, safe="")


def all_installations() -> Call:
    """Every site of the account."""
    return Call(ALL_INSTALLATIONS, "GET", "/all_installations")


def installation_infos(site_id: str) -> Call:
    """The parameters of a site."""
    return Call(INSTALLATION_INFOS, "GET", f"/installation_infos/{_quoted(site_id)}", site_id)


def meter_info(site_id: str) -> Call:
    """Every meter of a site."""
    return Call(METER_INFO, "GET", f"/meter_info/{_quoted(site_id)}", site_id)


def sensors_list(site_id: str) -> Call:
    """Every sensor of a site."""
    return Call(SENSORS_LIST, "GET", f"/{_quoted(site_id)}/sensors_list", site_id)


def site_data(site_id: str, meter_type: str, period: Period, frequency: Frequency = "15T") -> Call:
    """The validated series of a site for one meter type."""
    path = f"/site_data/{_quoted(site_id)}/{_quoted(meter_type)}"
    body = {**_bounds(period), "sampling_frequency": frequency}
    return Call(SITE_DATA, "POST", path, site_id, meter_type, period, body=body)


def meter_data(site_id: str, meter_id: str, period: Period, frequency: Frequency = "15T") -> Call:
    """The validated series of a meter."""
    path = f"/meter_data/{_quoted(site_id)}/{_quoted(meter_id)}"
    body = {**_bounds(period), "sampling_frequency": frequency}
    return Call(METER_DATA, "POST", path, site_id, meter_id, period, body=body)


def meter_data_raw(site_id: str, meter_id: str, period: Period) -> Call:
    """The raw readings of a physical meter."""
    path = f"/meter_data_raw/{_quoted(site_id)}/{_quoted(meter_id)}"
    return Call(METER_DATA_RAW, "POST", path, site_id, meter_id, period, body=_bounds(period))


def sensor_data(site_id: str, sensor_id: str, period: Period | None = None) -> Call:
    """The readings of a sensor; without a period, the last ones."""
    path = f"/{_quoted(site_id)}/sensor_data/{_quoted(sensor_id)}"
    return Call(SENSOR_DATA, "GET", path, site_id, sensor_id, period, params=_bounds(period) if period else {})
