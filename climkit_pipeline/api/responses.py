"""What a response says: its status as an error, its body as JSON of the right shape, its headers as instants.

Here: one response. Not here: when to ask again (``api.client``), what the fields mean (``api.answers``).
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import httpx

from climkit_pipeline.api import answers, calls
from climkit_pipeline.api.calls import Call
from climkit_pipeline.api.json_text import decoded
from climkit_pipeline.errors import (
    ApiUnavailableError,
    NotFoundError,
    RateLimitedError,
    RejectedError,
    TokenRejectedError,
    UnexpectedPayloadError,
)

MAX_ANSWER_BYTES = 64 * 1024 * 1024
"""A month of one meter is 0.3 MB; an answer a hundred times longer is an error, not data."""

SERIES = frozenset({calls.SITE_DATA, calls.METER_DATA, calls.METER_DATA_RAW, calls.SENSOR_DATA})
LISTS = frozenset(
    {
        calls.ALL_INSTALLATIONS,
        calls.METER_INFO,
        calls.SENSORS_LIST,
        *SERIES,
    }
)
"""Endpoints that answer with a list; the others answer with an object that has some field of its own."""


def read_body(response: httpx.Response, call: Call) -> bytes:
    """The unpacked bytes of a streamed response; raises UnexpectedPayloadError for more than MAX_ANSWER_BYTES."""
    if "," in response.headers.get("Content-Encoding", ""):  # 64 kB packed twice may hold 64 GB
        raise UnexpectedPayloadError(f"{call}: the answer is packed more than once")
    chunks, size = [], 0
    for chunk in response.iter_bytes():
        chunks.append(chunk)
        size += len(chunk)
        if size > MAX_ANSWER_BYTES:
            raise UnexpectedPayloadError(f"{call}: the answer is larger than {MAX_ANSWER_BYTES // 2**20} MB")
    return b"".join(chunks)


def payload_of(body: bytes, call: Call) -> Any:  # noqa: ANN401 - JSON
    """What a body says; raises ApiUnavailableError where it is no whole JSON text, or not what ``call`` asks for."""
    with suppress(ValueError, RecursionError):
        payload = decoded(body)
        _raise_for_shape(payload, call)
        return payload
    # Cut on the way, or a page of some server in between: either way another try may bring the answer. Outside the
    # handler, so that nothing is chained: the parser's error holds the whole text, which may hold a token.
    raise ApiUnavailableError(f"{call}: the answer is no whole JSON text ({len(body)} bytes)", kind="NotJson")


def _may_be_rows(payload: list[Any], call: Call) -> bool:
    """Whether a list may be what was asked for: rows of a series bear instants."""
    is_row = (isinstance(row, Mapping) and "timestamp" in row for row in payload)
    return call.endpoint not in SERIES or not payload or any(is_row)


def _raise_for_shape(payload: object, call: Call) -> None:
    """Raise ApiUnavailableError for an error that is dressed as a success: another try may bring the answer."""
    if call.endpoint in LISTS:
        if isinstance(payload, list) and _may_be_rows(payload, call):
            return
        expected = "a list of rows" if call.endpoint in SERIES else "a list"
    elif isinstance(payload, Mapping) and payload.keys() & answers.OWN_FIELDS[call.endpoint]:
        return
    else:
        expected = "what it documents"
    # What the fields are called, never what they hold: a message may repeat a name or a token.
    fields = ", ".join(sorted(str(key) for key in payload)[:5]) if isinstance(payload, Mapping) else ""
    got = f"an object ({fields[:60] or 'empty'})" if isinstance(payload, Mapping) else f"a {type(payload).__name__}"
    reason = f"status 200 with {got} instead of {expected}"
    raise ApiUnavailableError(f"{call}: {reason}", kind="OtherShape")


def raise_for_status(response: httpx.Response, call: Call, now: datetime) -> None:
    """Raise the ApiError that a status stands for; a date in ``Retry-After`` counts from ``now`` (UTC)."""
    status = response.status_code
    if response.is_success:
        return
    message = f"{call}: the API answered {status}"
    retry_after = _retry_after_seconds(response.headers.get("Retry-After"), now)
    if status == 429:
        raise RateLimitedError(message, retry_after_seconds=retry_after)
    if status == 408 or status >= 500:
        raise ApiUnavailableError(message, retry_after_seconds=retry_after)
    if status == 401:
        raise TokenRejectedError(message)
    if status == 404:
        raise NotFoundError(message)
    raise RejectedError(message, status=status)


def instant_of(value: str | None) -> datetime | None:
    """The instant of an HTTP date; None for none, and for what is no date."""
    try:
        instant = parsedate_to_datetime(value) if value else None
    except (ArithmeticError, LookupError, TypeError, ValueError):
        return None
    return instant.replace(tzinfo=UTC) if instant and instant.tzinfo is None else instant


def _retry_after_seconds(value: str | None, now: datetime) -> float | None:
    """The wait in seconds of a Retry-After header, which is a number or an HTTP date; None when it is neither."""
    if value is None:
        return None
    if value.strip().isdecimal():
        return float(value)
    try:
        return (parsedate_to_datetime(value) - now).total_seconds()
    except (ArithmeticError, LookupError, TypeError, ValueError):  # the parser of dates lets many through
        return None
