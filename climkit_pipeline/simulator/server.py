"""The simulated API on a real socket: log-in, rate limit, ledger of calls, answers and faults over HTTP/1.1.

Here: who may call, how often, and what of an account is not as documented. Not here: HTTP (``simulator.connections``),
what is answered (``simulator.answers``). Loopback only, and no secrets: the password is a setting of the simulation.
"""

from __future__ import annotations

import hmac
import json
import secrets
import threading
import time
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from types import TracebackType
from typing import Self

from climkit_pipeline.simulator.account_forms import AccountForm
from climkit_pipeline.simulator.answers import (
    Answers,
    BadRequestError,
    ListingForm,
    MeterForm,
    Window,
    WindowBounds,
)
from climkit_pipeline.simulator.connections import BASE_PATH, HOST, Call, HttpServer
from climkit_pipeline.simulator.faults import (
    Fault,
    FaultPlan,
    Interceptor,
    Request,
)
from climkit_pipeline.simulator.served import Row
from climkit_pipeline.simulator.world import World

LEDGER_LENGTH = 500_000


class _Budget:
    """The rate limit: at most so many requests in any sliding second, refused ones included."""

    def __init__(self, requests_per_second: float | None) -> None:
        if requests_per_second is not None and requests_per_second <= 0:
            raise ValueError("a rate limit is a positive number of requests per second, or None")
        self._allowed = max(1, int(requests_per_second)) if requests_per_second else 0
        self._span = self._allowed / requests_per_second if requests_per_second else 0.0
        self._arrivals: deque[float] = deque()
        self._lock = threading.Lock()

    def wait(self, arrived: float) -> float | None:
        """Count a request; None if it may pass, else the seconds until one may."""
        if not self._allowed:
            return None
        with self._lock:
            while self._arrivals and self._arrivals[0] <= arrived - self._span:
                self._arrivals.popleft()
            self._arrivals.append(arrived)
            if len(self._arrivals) <= self._allowed:
                return None
            return self._arrivals[-self._allowed] + self._span - arrived


class SimulatorServer:
    """Serves a world as the Climkit API on 127.0.0.1; a context manager that serves from a thread.

    ``requests_per_second`` None is no limit. ``interceptor`` sees every call inside the limit first and may force a
    fault; else ``faults`` may draw one. ``longest_window`` refuses longer windows of series with 400; ``answer_span``
    silently leaves out what lies further than that from ``t_s``. ``clock`` (that of the world unless given) dates
    tokens, ``monotonic`` the arrivals. ``account`` is how everything behaves that is not as documented; how its
    registers count and split has to be that of the world, too (``World(split_rule=…, register_step=…)``).
    """

    def __init__(
        self,
        world: World,
        *,
        port: int = 0,
        requests_per_second: float | None = 1.0,
        username: str = "demo",
        password: str = "demo-simulator",  # noqa: S107 - of the simulation, printed by the demo
        faults: FaultPlan | None = None,
        interceptor: Interceptor | None = None,
        one_session: bool = False,
        token_lifetime: timedelta = timedelta(minutes=15),
        window_bounds: WindowBounds = "(]",
        wide_columns: bool = False,
        listing_form: ListingForm = "objects",
        meter_form: MeterForm = "documented",
        longest_window: timedelta | None = None,
        answer_span: timedelta | None = None,
        clock: Callable[[], datetime] | None = None,
        monotonic: Callable[[], float] = time.monotonic,
        account: AccountForm | None = None,
        verbose: bool = False,
    ) -> None:
        self.world = world
        self.account = account or AccountForm()
        self.answers = Answers(
            world,
            window_bounds=window_bounds,
            wide_columns=wide_columns or self.account.wide_columns,
            listing_form=listing_form,
            meter_form="older" if self.account.older_listing else meter_form,
        )
        self.verbose = verbose
        self._true_time = clock or world.now
        self.monotonic = monotonic
        self.interceptor = interceptor
        self.faults = faults
        self._credentials = (username, password)
        self._one_session = one_session
        self._token_lifetime = token_lifetime
        self._longest_window = longest_window
        self._answer_span = answer_span
        self._budget = _Budget(requests_per_second)
        self._lock = threading.Lock()
        self._tokens: dict[str, datetime] = {}
        self._calls: deque[Call] = deque(maxlen=LEDGER_LENGTH)
        self._numbers: Counter[object] = Counter()
        self._thread: threading.Thread | None = None
        self._is_serving = False
        self._http = HttpServer((HOST, port), self)

    def clock(self) -> datetime:
        """What the server takes for the time."""
        return self._true_time() + self.account.clock_offset

    @property
    def port(self) -> int:
        """The port that is served."""
        return int(self._http.server_address[1])

    @property
    def base_url(self) -> str:
        """What a client takes as the API's base URL."""
        return f"http://{HOST}:{self.port}{BASE_PATH}"

    @property
    def calls(self) -> list[Call]:
        """Every request so far, in the order of arrival of their answers."""
        with self._lock:
            return list(self._calls)

    def forget_calls(self) -> None:
        """Empty the ledger."""
        with self._lock:
            self._calls.clear()

    def end_sessions(self) -> None:
        """Make every token unknown, as after a restart of the API."""
        with self._lock:
            self._tokens.clear()

    def start(self) -> Self:
        """Serve from a thread of its own."""
        if self._thread is None:
            self._is_serving = True
            self._thread = threading.Thread(target=self.serve_forever, name="simulator", daemon=True)
            self._thread.start()
        return self

    def serve_forever(self) -> None:
        """Serve from this thread until ``stop`` (from another one) or an interruption."""
        self._is_serving = True
        try:
            self._http.serve_forever(poll_interval=0.02)
        finally:
            self._is_serving = False
            self._http.close_all()

    def stop(self) -> None:
        """End the service and every open connection; not from the thread that serves."""
        if self._is_serving:
            self._http.shutdown()
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        self._http.close_all()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    def record(self, call: Call) -> None:
        """Add a call to the ledger."""
        with self._lock:
            self._calls.append(call)

    def wait_for_budget(self, arrived: float) -> float | None:
        """Count an arrival; None if it is inside the rate limit, else the seconds until a call would be."""
        return self._budget.wait(arrived)

    def numbered(self, request: Request) -> Request:
        """The request with its number and attempt."""
        with self._lock:
            self._numbers["all"] += 1
            alike = replace(request, number=0, attempt=0)
            self._numbers[alike] += 1
            return replace(request, number=self._numbers["all"], attempt=self._numbers[alike])

    def fault_for(self, request: Request) -> Fault | None:
        """The fault that this request meets: the interceptor's, else the plan's."""
        forced = self.interceptor(request) if self.interceptor else None
        return forced or (self.faults.fault_for(request) if self.faults else None)

    def log_in(self, username: object, password: object) -> dict[str, object] | None:
        """A new token, or None for wrong credentials."""
        offered = json.dumps([username, password]).encode()
        if not hmac.compare_digest(offered, json.dumps(self._credentials).encode()):
            return None
        token, until = secrets.token_urlsafe(32), self.clock() + self._token_lifetime
        with self._lock:
            if self._one_session:
                self._tokens.clear()
            self._tokens[token] = until
        return {"access_token": token, "valid_until": {"$date": int(until.timestamp() * 1000)}}

    def accepts(self, token: str | None) -> bool:
        """Whether a token was given out and has not expired."""
        with self._lock:
            until = self._tokens.get(token or "")
        return until is not None and self.clock() < until

    def end_token(self, token: str | None) -> None:
        """Make one token unknown."""
        with self._lock:
            self._tokens.pop(token or "", None)

    def as_account_answers(self, rows: list[Row], endpoint: str) -> list[Row]:
        """The rows of a series as this account's form has them."""
        edge = self.account.edge_rows if endpoint in {"site_data", "meter_data"} else 0
        rows = [{name: 0.0 if isinstance(value, float) else value for name, value in row.items()}
                for row in rows[:edge]] + rows[edge:]  # fmt: skip
        return rows[-self.account.newest_rows :] if self.account.newest_rows else rows

    def bounded(self, window: Window) -> Window:
        """The window that is answered; BadRequestError if it is longer than the API takes."""
        if window.t_s is None:
            return window
        t_e = window.t_e or self.world.now()
        if self._longest_window is not None and t_e - window.t_s > self._longest_window:
            raise BadRequestError("the window is too long")
        if self._answer_span is not None and t_e - window.t_s > self._answer_span:
            return replace(window, t_e=window.t_s + self._answer_span)
        return window
