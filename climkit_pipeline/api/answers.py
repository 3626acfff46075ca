"""Answers of the API as typed records. The API's own words (``ext``, ``conso_total``) stop here.

Here: shapes, timestamp forms, numbers, unknown fields. Not here: which periods were wanted (``ingest``).

Energies are kWh per period, volumes m3. ``stamp_utc`` is the instant that the API put on a row: the **end** of the
period for 15T and for raw readings, its **start** for every other frequency. Unknown fields, and values that are not
numbers where numbers belong, survive in ``extra`` (``not_numbers`` names the latter): nothing is guessed, nothing
becomes 0.

Source: the developer documentation, and forms seen in public clients of the API.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Generic, TypeGuard, TypeVar
from zoneinfo import ZoneInfo

from climkit_pipeline.domain.periods import Period
from climkit_pipeline.errors import UnexpectedPayloadError

Extra = Mapping[str, Any]
Record = TypeVar("Record")

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MILLISECONDS_FROM = 100_000_000_000
"""Whole numbers from here on are epoch milliseconds: as seconds they would lie after the year 5100."""

_ID_FORM = re.compile(r"[^\x00-\x20/\\?#]{1,200}")
_ID_KEYS = ("id", "_id", "site_id")
_TOKEN_FORM = re.compile(r"[\x21-\x7e]+")
"""What fits a header: anything else would come back inside the HTTP library's error messages."""
_LARGEST_ADDRESS = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Token:
    """An access token; its text stays out of every ``repr``."""

    text: str = field(repr=False)
    valid_until_utc: datetime


@dataclass(frozen=True, slots=True)
class Site:
    """The parameters of a site; what the API does not state is None."""

    site_id: str
    site_ref: str | None = None
    name: str | None = None
    street_name: str | None = None
    street_number: str | None = None
    postal_code: str | None = None
    city: str | None = None
    created_at_utc: datetime | None = None
    latitude: float | None = None
    longitude: float | None = None
    timezone: str | None = None
    extra: Extra = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Meter:
    """One entry of a site's meter list; unknown types and modes are kept as they come."""

    meter_id: str
    meter_type: str
    meter_mode: str
    name: str | None = None
    primary_address: int | None = None
    is_rule_meter: bool = False
    extra: Extra = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Sensor:
    """One entry of a site's sensor list."""

    sensor_id: str
    name: str | None = None
    sensor_type: str | None = None
    unit: str | None = None
    model: str | None = None
    extra: Extra = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class MeterInterval:
    """One period of a meter's validated series (the API's total, self, ext)."""

    stamp_utc: datetime
    total: float | None
    solar: float | None
    grid: float | None
    extra: Extra
    not_numbers: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class SiteInterval:
    """One period of a site's validated series for one meter type."""

    stamp_utc: datetime
    consumption: float | None
    production: float | None
    grid_import: float | None
    self_consumption: float | None
    grid_export: float | None
    storage_charge: float | None
    storage_discharge: float | None
    extra: Extra
    not_numbers: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class RawReading:
    """One raw reading of a physical meter (the API's en_im, en_ex, heat_energy_kwh, vol_m3)."""

    stamp_utc: datetime
    index_import_kwh: float | None
    index_export_kwh: float | None
    heat_kwh: float | None
    volume_m3: float | None
    extra: Extra
    not_numbers: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class SensorReading:
    """One reading of a sensor, in the unit that its listing states."""

    stamp_utc: datetime
    reading: float | None
    extra: Extra
    not_numbers: tuple[str, ...] = ()


# --- instants ---------------------------------------------------------------------------------------------------


_END_OF_DAY = re.compile(r"^(\d{4}-\d\d-\d\d[ T])24(:00(?::00(?:\.0+)?)?)(?=$|[Z+-])")
"""Midnight as ISO 8601 allows it for what ends with a day; metering platforms stamp a day's last row so."""


def parse_instant(value: object) -> datetime:
    """The aware UTC instant of any form that the API documents or was seen to use.

    ISO with an offset or Z (space or T), epoch seconds, epoch milliseconds, ``{"$date": ...}``. An ISO text without
    a zone comes back **naive**: only the rows around it can tell what it means (see ``_resolve_naive``). 24:00 is the
    midnight at the end of its day.
    Raises UnexpectedPayloadError for anything else.
    """
    match value:
        case {"$date": inner} if not isinstance(inner, Mapping):
            return parse_instant(inner)
        case bool():
            pass
        case int() | float():
            with suppress(OverflowError, ValueError):  # microseconds, NaN: no instant of any calendar in use
                seconds = value / 1000 if abs(value) >= MILLISECONDS_FROM else value
                return EPOCH + timedelta(seconds=seconds)
        case str():
            with suppress(OverflowError, ValueError):
                text, ends_of_day = _END_OF_DAY.subn(r"\g<1>00\2", value.strip())
                parsed = datetime.fromisoformat(text) + ends_of_day * timedelta(days=1)
                return parsed.astimezone(UTC) if parsed.tzinfo else parsed
    raise UnexpectedPayloadError(f"not a timestamp: {_shown(value)}")


def _resolve_naive(stamps: list[datetime], asked: Period | None) -> list[datetime]:
    """The same instants, all aware: zone-less ones are UTC if every one then falls inside the window asked for.

    The same zone-less stamp twice is the repeated hour of autumn in local time: as UTC it would fold into one.
    """
    if all(stamp.tzinfo for stamp in stamps):
        return stamps
    resolved = [stamp if stamp.tzinfo else stamp.replace(tzinfo=UTC) for stamp in stamps]
    repeated = len(set(stamps)) < len(stamps)
    if asked is None or repeated or not all(asked.start_utc <= stamp <= asked.end_utc for stamp in resolved):
        raise UnexpectedPayloadError(
            "timestamps without a zone that do not fit the window as UTC: their zone is unknown"
        )
    return resolved


# --- numbers, texts, ids ----------------------------------------------------------------------------------------


def _shown(value: object) -> str:
    """A short value as it is, of anything else only what it is: messages never carry an answer's body."""
    text = repr(value) if isinstance(value, str | float | int | None) else ""
    return text if 0 < len(text) <= 40 else f"a {type(value).__name__}"


def _is_finite(value: object) -> TypeGuard[int | float]:
    try:
        return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    except OverflowError:  # a whole number beyond the largest float
        return False


def _number(row: Mapping[str, Any], name: str, extra: dict[str, Any]) -> float | None:
    """The finite number under ``name``; anything else is None here and survives in ``extra``."""
    value = row.get(name)
    if _is_finite(value):
        return float(value)
    if value is not None:
        extra[name] = str(value) if isinstance(value, float) else value
    return None


def _text(row: Mapping[str, Any], name: str) -> str | None:
    value = row.get(name)
    # Half a surrogate pair is valid JSON but no text that a file or a database takes.
    return None if value is None else str(value).encode("utf-8", "replace").decode()


def parse_id(value: object, *, what: str) -> str:
    """An id as text, from a string, a number or ``{"$oid": ...}``; raises UnexpectedPayloadError for others."""
    if isinstance(value, Mapping) and "$oid" in value:
        value = value["$oid"]
    text = str(value) if isinstance(value, str | int) and not isinstance(value, bool) else ""
    if not _ID_FORM.fullmatch(text) or not text.isprintable() or text in {".", ".."}:
        raise UnexpectedPayloadError(f"not an id of a {what}: {_shown(value)}")
    return text


def _id_of(row: Mapping[str, Any], *, what: str, keys: Iterable[str] = _ID_KEYS) -> str:
    for key in keys:
        if row.get(key) is not None:
            return parse_id(row[key], what=what)
    names = [_shown(str(key)) for key in sorted(row, key=str)[:12]]
    raise UnexpectedPayloadError(f"a {what} without an id (none of {', '.join(keys)} in [{', '.join(names)}])")


def _objects(payload: object, *, what: str) -> list[Mapping[str, Any]]:
    if not isinstance(payload, list) or not all(isinstance(row, Mapping) for row in payload):
        raise UnexpectedPayloadError(f"{what}: expected a list of objects, got {type(payload).__name__}")
    return payload


def _unknown(row: Mapping[str, Any], known: Iterable[str]) -> dict[str, Any]:
    names = set(known)
    return {str(key): value for key, value in row.items() if key not in names}


# --- log-in and listings ----------------------------------------------------------------------------------------


def parse_token(payload: object) -> Token:
    """The token of an ``/auth`` answer; never shows the answer in an error."""
    text = payload.get("access_token") if isinstance(payload, Mapping) else None
    if isinstance(payload, Mapping) and isinstance(text, str) and _TOKEN_FORM.fullmatch(text):
        try:
            valid_until = parse_instant(payload.get("valid_until"))
        except UnexpectedPayloadError:
            raise UnexpectedPayloadError("auth: the answer states no readable valid_until") from None
        return Token(text, _resolve_utc(valid_until))
    raise UnexpectedPayloadError("auth: the answer holds no access_token that fits a header")


def _resolve_utc(instant: datetime) -> datetime:
    return instant if instant.tzinfo else instant.replace(tzinfo=UTC)


def parse_installations(payload: object) -> list[str]:
    """The site ids of an ``/all_installations`` answer, in its order, each once: objects, or bare id strings."""
    if not isinstance(payload, list):
        raise UnexpectedPayloadError(f"all_installations: expected a list, got {type(payload).__name__}")
    ids = [
        _id_of(row, what="site") if isinstance(row, Mapping) and "$oid" not in row else parse_id(row, what="site")
        for row in payload
    ]
    return list(dict.fromkeys(ids))


_ADDRESS = {
    "street_name": "street_name",
    "street_number": "street_number",
    "postal_code": "postal_code",
    "city": "city",
    "city_name": "city",
    "city_ref": "postal_code",
}
_SITE_FIELDS = ("site_ref", "name", "address", "creation_date", "latitude", "longitude", "timezone", *_ID_KEYS)

OWN_FIELDS = {"auth": frozenset({"access_token"}), "installation_infos": frozenset(_SITE_FIELDS)}
"""What an answer that is an object has at least one of, by endpoint; with none, it is an error's."""


def parse_site(payload: object, site_id: str) -> Site:
    """The parameters of a site from an ``/installation_infos`` answer.

    ``address.postal_code`` may be missing; ``city_name`` and ``city_ref`` were seen instead of the documented names.
    A creation date without a zone is local time of the site where it states a zone, else UTC.
    """
    if not isinstance(payload, Mapping):
        raise UnexpectedPayloadError(f"installation_infos: expected an object, got {type(payload).__name__}")
    extra = _unknown(payload, _SITE_FIELDS)
    address: dict[str, str | None] = {}
    stated = payload.get("address")
    if isinstance(stated, Mapping):
        for key, column in _ADDRESS.items():
            if stated.get(key) is not None and address.get(column) is None:
                address[column] = _text(stated, key)
        extra.update({f"address.{key}": value for key, value in _unknown(stated, _ADDRESS).items()})
    elif stated is not None:
        extra["address"] = stated
    timezone = _text(payload, "timezone") or None
    return Site(
        site_id=site_id,
        site_ref=_text(payload, "site_ref"),
        name=_text(payload, "name"),
        **address,
        created_at_utc=_creation(payload.get("creation_date"), timezone, extra),
        latitude=_number(payload, "latitude", extra),
        longitude=_number(payload, "longitude", extra),
        timezone=timezone,
        extra=extra,
    )


def _creation(value: object, timezone: str | None, extra: dict[str, Any]) -> datetime | None:
    if value is None:
        return None
    try:
        created = parse_instant(value)
        zone = ZoneInfo(timezone) if timezone else UTC
        return created.astimezone(UTC) if created.tzinfo else created.replace(tzinfo=zone).astimezone(UTC)
    except (UnexpectedPayloadError, OverflowError, ValueError, KeyError, OSError):
        extra["creation_date"] = value
        return None


_METER_FIELDS = ("type", "name", "mode", "prim_ad", "is_rule_meter", "virtual", *_ID_KEYS[:2])


def parse_meters(payload: object) -> list[Meter]:
    """The meters of a ``/meter_info`` answer, documented form or the older one (text ``prim_ad``, ``virtual``)."""
    return [_meter(row) for row in _objects(payload, what="meter_info")]


def _meter(row: Mapping[str, Any]) -> Meter:
    extra = _unknown(row, _METER_FIELDS)
    address = row.get("prim_ad")
    if isinstance(address, str) and re.fullmatch(r"\s*[0-9]{1,18}\s*", address):
        address = int(address)
    if not isinstance(address, int) or isinstance(address, bool) or abs(address) > _LARGEST_ADDRESS:
        if address is not None:
            extra["prim_ad"] = address
        address = None
    rule = row.get("is_rule_meter")
    if rule is None:
        rule = row.get("virtual")
    if rule is not None and not isinstance(rule, bool):
        raise UnexpectedPayloadError(f"meter_info: is_rule_meter is neither true nor false: {_shown(rule)}")
    return Meter(
        meter_id=_id_of(row, what="meter", keys=_ID_KEYS[:2]),
        meter_type=_text(row, "type") or "unknown",
        meter_mode=_text(row, "mode") or "unknown",
        name=_text(row, "name"),
        primary_address=address,
        is_rule_meter=bool(rule),
        extra=extra,
    )


_SENSOR_FIELDS = ("name", "type", "unit", "model", *_ID_KEYS[:2])


def parse_sensors(payload: object) -> list[Sensor]:
    """The sensors of a ``/sensors_list`` answer."""
    return [
        Sensor(
            sensor_id=_id_of(row, what="sensor", keys=_ID_KEYS[:2]),
            name=_text(row, "name"),
            sensor_type=_text(row, "type"),
            unit=_text(row, "unit"),
            model=_text(row, "model"),
            extra=_unknown(row, _SENSOR_FIELDS),
        )
        for row in _objects(payload, what="sensors_list")
    ]


# --- series -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class SeriesForm(Generic[Record]):
    """What the rows of one kind of series hold beside ``timestamp``."""

    what: str
    record: Callable[..., Record]
    names: Mapping[str, str]
    """The API's names of the numbers, in the order of the record's fields, and ours."""
    has_wide_columns: bool = False
    """Whether columns per meter (``total_<meter id>`` …) come along; ``/meter_data`` tells the same: not kept."""

    def knows(self, key: str) -> bool:
        """Whether a field is none to keep as it came."""
        is_wide = self.has_wide_columns and key.startswith(("total_", "self_", "ext_"))
        return key == "timestamp" or key in self.names or is_wide


METER_SERIES = SeriesForm("meter_data", MeterInterval, {"total": "total", "self": "solar", "ext": "grid"})
SITE_SERIES = SeriesForm(
    "site_data",
    SiteInterval,
    {
        "conso_total": "consumption",
        "prod_total": "production",
        "from_ext": "grid_import",
        "self": "self_consumption",
        "to_ext": "grid_export",
        "storage_charging_total": "storage_charge",
        "storage_discharging_total": "storage_discharge",
    },
    has_wide_columns=True,
)
RAW_SERIES = SeriesForm(
    "meter_data_raw",
    RawReading,
    {
        "en_im": "index_import_kwh",
        "en_ex": "index_export_kwh",
        "heat_energy_kwh": "heat_kwh",
        "vol_m3": "volume_m3",
    },
)
SENSOR_SERIES = SeriesForm("sensor_data", SensorReading, {"value": "reading"})


@dataclass(frozen=True, slots=True)
class ReadableRows:
    """The rows of a series answer that say when they are about, and where the others stand in it."""

    rows: list[Mapping[str, Any]]
    stamps: list[datetime]
    unreadable: tuple[int, ...] = ()
    """Positions, from 1, of what is no object or bears no instant: nobody can tell what it is about."""


def readable_rows(payload: object, asked: Period | None, what: str) -> ReadableRows:
    """The rows with an instant; zone-less stamps are understood by the window ``asked`` for.

    One odd row spoils no other. Raises UnexpectedPayloadError if no row of several can be read, or if all that could
    be are without a zone and do not fit the window: then it is the form that is not known.
    """
    if not isinstance(payload, list):
        raise UnexpectedPayloadError(f"{what}: expected a list of objects, got {type(payload).__name__}")
    found: list[tuple[int, Mapping[str, Any], datetime]] = []
    unreadable, reason = [], ""
    for position, row in enumerate(payload, start=1):
        try:
            found.append((position, *_row_and_stamp(row)))
        except UnexpectedPayloadError as error:
            unreadable.append(position)
            reason = reason or str(error)
    zoned = [each for each in found if each[2].tzinfo]
    try:
        stamps = _resolve_naive([stamp for _, _, stamp in found], asked)
    except UnexpectedPayloadError as error:
        unreadable += [position for position, _, stamp in found if not stamp.tzinfo]
        reason, found = reason or str(error), zoned
        stamps = [stamp for _, _, stamp in zoned]
    if payload and not found:
        raise UnexpectedPayloadError(f"{what}: {reason}")
    return ReadableRows([row for _, row, _ in found], stamps, tuple(sorted(unreadable)))


def _row_and_stamp(row: object) -> tuple[Mapping[str, Any], datetime]:
    if not isinstance(row, Mapping):
        raise UnexpectedPayloadError(f"expected a list of objects, got one of {type(row).__name__}")
    if "timestamp" not in row:
        raise UnexpectedPayloadError("a row without a timestamp")
    return row, parse_instant(row["timestamp"])


def record_of(row: Mapping[str, Any], stamp: datetime, form: SeriesForm[Record]) -> Record:
    """One row as a record."""
    extra = {key: value for key, value in row.items() if not form.knows(key)}
    numbers = [_number(row, name, extra) for name in form.names]
    return form.record(stamp, *numbers, extra, tuple(name for name in form.names if name in extra))


def parse_series(payload: object, asked: Period | None, form: SeriesForm[Record]) -> list[Record]:
    """The readable rows of a series answer, in its order; raises as ``readable_rows`` does."""
    readable = readable_rows(payload, asked, form.what)
    return [record_of(row, stamp, form) for row, stamp in zip(readable.rows, readable.stamps, strict=True)]


def parse_meter_series(payload: object, asked: Period | None = None) -> list[MeterInterval]:
    """The rows of a ``/meter_data`` answer, in its order."""
    return parse_series(payload, asked, METER_SERIES)


def parse_site_series(payload: object, asked: Period | None = None) -> list[SiteInterval]:
    """The rows of a ``/site_data`` answer, in its order."""
    return parse_series(payload, asked, SITE_SERIES)


def parse_raw_readings(payload: object, asked: Period | None = None) -> list[RawReading]:
    """The rows of a ``/meter_data_raw`` answer, in its order."""
    return parse_series(payload, asked, RAW_SERIES)


def parse_sensor_readings(payload: object, asked: Period | None = None) -> list[SensorReading]:
    """The rows of a ``/sensor_data`` answer, in its order."""
    return parse_series(payload, asked, SENSOR_SERIES)
