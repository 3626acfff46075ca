"""A plain client of the simulated API, as a person would write it with httpx, and exact sums of what it answers."""

from __future__ import annotations

import ssl
from datetime import UTC, datetime
from decimal import Decimal
from typing import Self

import httpx

from climkit_pipeline.domain.periods import Period
from climkit_pipeline.simulator import SimulatorServer

NOW = datetime(2026, 11, 23, 12, 3, tzinfo=UTC)
NO_CERTIFICATES = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
"""Plain HTTP needs none, and loading them costs every client more than most tests do."""
CREDENTIALS = {"username": "demo", "password": "demo-simulator"}


def naive(moment: datetime) -> str:
    """As the API wants its bounds: ISO, UTC, no offset."""
    return moment.astimezone(UTC).replace(tzinfo=None).isoformat()


def stamp_utc(row: dict) -> datetime:
    """The instant that a row is stamped with."""
    return datetime.fromisoformat(row["timestamp"]).astimezone(UTC)


def exact(value: float) -> Decimal:
    """A served number as the decimal that its JSON text states."""
    return Decimal(repr(value))


def total(rows: list[dict], name: str) -> Decimal:
    """The exact sum of one column."""
    return sum((exact(row[name]) for row in rows), Decimal(0))


class Api:
    """The calls of the API; logged in at once unless told otherwise."""

    def __init__(self, server: SimulatorServer, *, log_in: bool = True) -> None:
        self.server = server
        self.http = httpx.Client(base_url=server.base_url, trust_env=False, timeout=120, verify=NO_CERTIFICATES)
        if log_in:
            self.log_in()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.http.close()

    def log_in(self) -> None:
        answer = self.http.post("/auth", json=CREDENTIALS)
        assert answer.status_code == 200, answer.text
        self.http.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"

    def get(self, path: str, **query: str) -> httpx.Response:
        return self.http.get(path, params=query)

    def post(self, path: str, **body: object) -> httpx.Response:
        return self.http.post(path, json=body)

    def rows(self, path: str, period: Period | None = None, frequency: str | None = None) -> list[dict]:
        """The rows of a series, which must be answered with 200."""
        body = {"t_s": naive(period.start_utc), "t_e": naive(period.end_utc)} if period else {}
        if "/sensor_data/" in path:
            answer = self.get(path, **body)
        else:
            answer = self.post(path, **body, **({"sampling_frequency": frequency} if frequency else {}))
        assert answer.status_code == 200, answer.text
        return answer.json()
