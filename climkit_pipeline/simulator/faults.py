"""Answers broken on purpose: at random with a seed, or exactly where a test wants them.

Here: what a fault is and when one happens. Not here: how it is written to the wire (``simulator.server``). A fault
changes one answer, never what the meters counted: the truth stays the truth.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from climkit_pipeline.simulator.profiles import dice

PASSING: dict[str, str] = {
    "http_500": "status 500",
    "http_503": "status 503 with Retry-After, in seconds or as a date",
    "rate_429": "status 429 although the limit was kept",
    "truncated": "JSON cut in the middle, the length header agreeing with what is sent",
    "broken_off": "the connection ends before the length announced",
    "html": "status 200 with a web page",
    "reset": "the connection ends without an answer",
    "slow": "the right answer, a few bytes at a time",
    "short": "valid JSON whose last 5 to 30 % of rows are missing",
    "expired": "401 on a data call, the token gone",
    "http_408": "status 408",
    "error_object": "status 200 with an object that holds a message",
    "no_body": "status 200 without a body",
    "wrapped": "status 200 with the right answer inside an object, under data",
}
"""What a client gets over by asking again."""
FINAL: dict[str, str] = {
    "http_400": "status 400: the call is refused",
    "http_403": "status 403",
    "http_404": "status 404",
    "http_413": "status 413: too long",
    "http_422": "status 422",
    "redirect": "status 302 to another host",
    "oversize": "an answer of 65 MB",
}
"""What it must not repeat as it is."""
ODD: dict[str, str] = {
    "empty": "a series without any row",
    "duplicate": "a row twice",
    "conflict": "a row twice, the second with another value",
    "off_grid": "a row stamped seven minutes late",
    "outside": "a row of a year before the window",
    "not_a_number": "a value that is text",
    "no_timestamp": "a row whose timestamp is null",
    "no_row": "null where a row belongs",
}
"""What looks like a good answer."""
RANDOM_KINDS = (*PASSING, *FINAL, *ODD)
KINDS = {
    **PASSING,
    **FINAL,
    **ODD,
    "status": "any status, with any body; not for random plans",
    "rewrite": "another payload; not for random plans",
}
STATUS_OF_KIND = {kind: int(kind.removeprefix("http_")) for kind in KINDS if kind.startswith("http_")}
OVERSIZE_BYTES = 65 * 2**20
SERIES = frozenset({"site_data", "meter_data", "meter_data_raw", "sensor_data"})


@dataclass(frozen=True)
class Request:
    """One call as the server understood it."""

    number: int
    """The how many-th request of this server, from 1."""
    attempt: int
    """The how many-th time that exactly this was asked, from 1."""
    method: str
    endpoint: str
    site_id: str | None = None
    subject: str | None = None
    """Meter id, sensor id or type of the series."""
    t_s: datetime | None = None
    t_e: datetime | None = None
    sampling_frequency: str | None = None


@dataclass(frozen=True)
class Fault:
    """What to do to one answer; the fields beyond ``kind`` refine some kinds."""

    kind: str
    retry_after_seconds: int = 1
    retry_after_as_date: bool = False
    share: float = 0.2
    """``short``: the part of the rows that is missing; ``truncated``, ``broken_off``: the part of the bytes."""
    seconds: float = 1.0
    """``slow``: how long the answer takes."""
    abort: bool = False
    """``reset``: end the connection hard instead of politely."""
    status: int = 500
    """``status``: the status to answer with."""
    body: object = None
    """``status``: the JSON to answer with."""
    headers: Mapping[str, str] = field(default_factory=dict)
    """``status``: further headers."""
    rewrite: Callable[[object], object] | None = None
    """``rewrite``: makes another payload of the right one."""

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"no fault is called {self.kind!r}; there are: {', '.join(KINDS)}")
        if self.kind == "rewrite" and self.rewrite is None:
            raise ValueError("a fault of kind 'rewrite' needs the function that rewrites")

    def applies_to(self, endpoint: str) -> bool:
        """Whether this fault makes sense there: no expired token at the log-in, no missing rows in a listing."""
        if self.kind == "short" or self.kind in ODD:
            return endpoint in SERIES
        return endpoint != "auth" if self.kind == "expired" or self.kind in FINAL else True


@dataclass(frozen=True)
class FaultPlan:
    """Random faults with given probabilities, the same ones for the same seed and the same count of requests."""

    probabilities: Mapping[str, float] = field(default_factory=dict)
    seed: int = 0
    slow_seconds: float = 1.0

    def __post_init__(self) -> None:
        for kind, probability in self.probabilities.items():
            if kind not in RANDOM_KINDS:
                raise ValueError(f"no fault is called {kind!r}; there are: {', '.join(RANDOM_KINDS)} and seed")
            if not 0 <= probability <= 1:
                raise ValueError(f"the probability of {kind} must lie between 0 and 1, not at {probability}")
        if sum(self.probabilities.values()) > 1:
            raise ValueError("the probabilities of all faults together exceed 1")

    @classmethod
    def parse(cls, text: str) -> FaultPlan:
        """The plan written as ``http_500=0.02,short=0.01,seed=3``; ValueError says what is wrong and what there is."""
        probabilities: dict[str, float] = {}
        seed = 0
        for part in filter(None, (part.strip() for part in text.replace(";", ",").split(","))):
            name, equals, value = (piece.strip() for piece in part.partition("="))
            if name != "seed" and name not in RANDOM_KINDS:
                raise ValueError(f"no fault is called {name!r}; there are: {', '.join(RANDOM_KINDS)} and seed")
            try:
                if name == "seed":
                    seed = int(value)
                else:
                    probabilities[name] = float(value)
            except ValueError as error:
                raise ValueError(f"{name} needs a number{'' if equals else ' after ='}, not {value!r}") from error
        return cls(probabilities, seed)

    def fault_for(self, request: Request) -> Fault | None:
        """The fault of this request, if it has one."""
        drawn = dice("fault", self.seed, request.number)
        hit = drawn.random()
        for kind in RANDOM_KINDS:
            hit -= self.probabilities.get(kind, 0.0)
            if hit < 0:
                fault = Fault(
                    kind,
                    retry_after_seconds=drawn.randint(1, 2),
                    retry_after_as_date=drawn.random() < 0.5,
                    share=drawn.uniform(0.05, 0.3),
                    seconds=self.slow_seconds,
                    abort=drawn.random() < 0.5,
                )
                return fault if fault.applies_to(request.endpoint) else None
        return None


def odd_rows(kind: str, rows: list[dict[str, Any]]) -> list[dict[str, Any] | None]:
    """The rows of a good answer with one of them made odd, as ``ODD`` says."""
    if kind == "empty" or not rows:
        return []
    row = rows[len(rows) // 2]
    value = next(name for name in row if name != "timestamp")
    if kind == "duplicate":
        return [*rows, row]
    if kind == "conflict":
        return [*rows, {**row, value: 99.0}]
    if kind == "outside":
        return [{**row, "timestamp": _moved(row["timestamp"], -timedelta(days=365))}, *rows]
    if kind == "no_row":
        return [None if each is row else each for each in rows]
    changes: dict[str, dict[str, Any]] = {
        "off_grid": {"timestamp": _moved(row["timestamp"], timedelta(minutes=7))},
        "no_timestamp": {"timestamp": None},
        "not_a_number": {value: "n/a"},
    }
    changed = changes[kind]
    return [{**each, **changed} if each is row else each for each in rows]


def _moved(stamp: str | int, by: timedelta) -> str | int:
    if isinstance(stamp, int):
        return stamp + int(by.total_seconds())
    return (datetime.fromisoformat(stamp) + by).isoformat(sep=" ")


Interceptor = Callable[[Request], Fault | None]
