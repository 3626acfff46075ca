"""The simulated API on a real socket: log-in, rate limit, ledger of calls, answers and faults over HTTP/1.1.

Here: the network and what guards it. Not here: what is answered (``simulator.answers``).

Each answer is one write on a socket without Nagle's algorithm: two small writes would wait 40 ms for the client's
delayed acknowledgement. Loopback only, and no secrets: the password is a setting of the simulation.
"""

from __future__ import annotations

import hmac
import json
import secrets
import socket
import socketserver
import struct
import sys
import threading
import time
from collections import Counter, deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from email.utils import format_datetime
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from math import ceil
from types import TracebackType
from typing import Self
from urllib.parse import parse_qsl, unquote, urlsplit

from climkit_pipeline.simulator.account_forms import AccountForm
from climkit_pipeline.simulator.answers import (
    Answers,
    BadRequestError,
    ListingForm,
    MeterForm,
    RefusedError,
    UnknownError,
    Window,
    WindowBounds,
    parse_window,
)
from climkit_pipeline.simulator.faults import (
    KINDS,
    ODD,
    OVERSIZE_BYTES,
    STATUS_OF_KIND,
    Fault,
    FaultPlan,
    Interceptor,
    Request,
    odd_rows,
)
from climkit_pipeline.simulator.served import Row
from climkit_pipeline.simulator.world import World

BASE_PATH = "/api/v1"
HOST = "127.0.0.1"
LONGEST_BODY = 64 * 1024
LEDGER_LENGTH = 500_000
WEB_PAGE = b"<!doctype html><html><head><title>Bad gateway</title></head><body><h1>Bad gateway</h1></body></html>"
_Accepted = socket.socket | tuple[bytes, socket.socket]
SERIES_WITH_SUBJECT = {"site_data", "meter_data", "meter_data_raw"}


@dataclass(frozen=True)
class Call:
    """One request in the server's ledger."""

    arrived: float
    """Monotonic clock, seconds."""
    method: str
    endpoint: str
    """The name of the call (``meter_data``), or ``unknown``."""
    site_id: str | None
    subject: str | None
    """Meter id, sensor id or type of the series."""
    t_s: datetime | None
    t_e: datetime | None
    sampling_frequency: str | None
    status: int
    """0 where the connection ended without an answer."""
    rows: int
    """How many rows were sent whole."""
    fault: str | None


@dataclass(frozen=True)
class _Answer:
    status: int
    payload: object
    retry_after: str | None = None


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
        self._http = _HttpServer((HOST, port), self)

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


class _HttpServer(ThreadingHTTPServer):
    """Threads per connection, which end with the server."""

    request_queue_size = 128
    daemon_threads = True

    def __init__(self, address: tuple[str, int], simulator: SimulatorServer) -> None:
        self.simulator = simulator
        self._open: set[object] = set()
        self._changed = threading.Condition()
        super().__init__(address, _Handler)

    def server_bind(self) -> None:
        """Bind without asking a name server what the host is called."""
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = HOST, int(self.server_address[1])

    def process_request(self, request: _Accepted, client_address: object) -> None:
        """Remember the connection, so that ``close_all`` can end it."""
        with self._changed:
            self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: _Accepted) -> None:
        """Forget the connection once it is closed."""
        super().shutdown_request(request)
        with self._changed:
            self._open.discard(request)
            self._changed.notify_all()

    def handle_error(self, request: _Accepted, client_address: object) -> None:
        """Keep quiet about clients that went away; show anything else."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)

    def close_all(self) -> None:
        """Close the listening socket and every connection, and wait for their threads to notice."""
        self.server_close()
        with self._changed:
            for connection in self._open:
                if isinstance(connection, socket.socket):
                    with suppress(OSError):
                        connection.shutdown(socket.SHUT_RDWR)
            self._changed.wait_for(lambda: not self._open, timeout=5)


class _Handler(BaseHTTPRequestHandler):
    """One connection."""

    server: _HttpServer
    protocol_version = "HTTP/1.1"
    server_version = "climkit-simulator"
    disable_nagle_algorithm = True
    _arrived = 0.0

    def parse_request(self) -> bool:
        """Note the arrival, then parse as usual."""
        self._arrived = self.server.simulator.monotonic()
        return super().parse_request()

    def do_GET(self) -> None:
        """Answer a GET."""
        self._handle()

    def do_POST(self) -> None:
        """Answer a POST."""
        self._handle()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name is inherited
        """Log only when asked to."""
        if self.server.simulator.verbose:
            super().log_message(format, *args)

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """Answer what the HTTP layer refuses (bad request lines, other methods) in JSON, too."""
        self.close_connection = True
        self._send(int(code), _json({"error": message or HTTPStatus(code).phrase}))

    def _handle(self) -> None:
        simulator = self.server.simulator
        body = self._body()
        url = urlsplit(self.path)
        endpoint, site_id, subject, method = _route(url.path)
        asked, problem = self._parameters(endpoint, url.query, body)
        window = Window()
        if endpoint in SERIES_WITH_SUBJECT or endpoint == "sensor_data":
            try:
                window = parse_window(asked)
            except BadRequestError as error:
                problem = problem or str(error)
        request = simulator.numbered(
            Request(
                number=0,
                attempt=0,
                method=self.command,
                endpoint=endpoint,
                site_id=site_id,
                subject=subject,
                t_s=window.t_s,
                t_e=window.t_e,
                sampling_frequency=asked_frequency(asked),
            )
        )
        wait = simulator.wait_for_budget(self._arrived)
        if wait is not None:
            self._finish(request, _Answer(429, {"error": "too many requests"}, str(max(1, ceil(wait)))), None)
            return
        fault = simulator.fault_for(request)
        answer = self._broken(request, fault)
        if answer is None and fault is not None and fault.kind in {"reset", "html", "status", "oversize"}:
            self._finish(request, _Answer(200, None), fault)
            return
        if answer is None:
            answer = self._answer(request, method, asked, window, problem)
        self._finish(request, answer, fault)

    def _broken(self, request: Request, fault: Fault | None) -> _Answer | None:
        """The answer of a fault that needs no right answer; None if there is no such fault."""
        if fault is None:
            return None
        simulator = self.server.simulator
        retry_after = str(fault.retry_after_seconds)
        if fault.retry_after_as_date:
            moment = simulator.clock() + timedelta(seconds=fault.retry_after_seconds)
            retry_after = format_datetime(moment, usegmt=True)
        if fault.kind == "http_503":
            return _Answer(503, {"error": "service unavailable"}, retry_after)
        if fault.kind in STATUS_OF_KIND:
            return _Answer(STATUS_OF_KIND[fault.kind], {"error": KINDS[fault.kind]})
        if fault.kind == "rate_429":
            return _Answer(429, {"error": "too many requests"}, retry_after)
        if fault.kind == "expired" and request.endpoint != "auth":
            simulator.end_token(self._token())
            return _Answer(401, {"error": "token expired"})
        return None

    def _answer(
        self, request: Request, method: str, asked: dict[str, object], window: Window, problem: str | None
    ) -> _Answer:
        """The right answer."""
        try:
            if request.endpoint == "unknown":
                raise UnknownError("no such resource")
            if request.method != method:
                raise RefusedError(f"use {method}", status=405)
            if request.endpoint == "auth":
                return _Answer(200, self._log_in(asked, problem))
            if not self.server.simulator.accepts(self._token()):
                raise RefusedError("invalid or expired token", status=401)
            return _Answer(200, self._data(request, window, problem))
        except RefusedError as refusal:
            return _Answer(refusal.status, {"error": str(refusal)})

    def _log_in(self, asked: dict[str, object], problem: str | None) -> object:
        if problem or not {"username", "password"} <= asked.keys():
            raise BadRequestError(problem or "username and password are needed")
        session = self.server.simulator.log_in(asked["username"], asked["password"])
        if session is None:
            raise RefusedError("wrong username or password", status=401)
        return session

    def _data(self, request: Request, window: Window, problem: str | None) -> object:
        simulator = self.server.simulator
        answers, site_id, subject = simulator.answers, request.site_id or "", request.subject or ""
        late = timedelta(days=simulator.account.created_days_late)
        listings: dict[str, Callable[[], object]] = {
            "all_installations": answers.all_installations,
            "installation_infos": lambda: answers.installation_infos(site_id, late),
            "meter_info": lambda: answers.meter_info(site_id),
            "sensors_list": lambda: answers.sensors_list(site_id),
        }
        if request.endpoint in listings:
            return listings[request.endpoint]()
        if problem:
            raise BadRequestError(problem)
        series = {
            "site_data": answers.site_data,
            "meter_data": answers.meter_data,
            "meter_data_raw": answers.meter_data_raw,
            "sensor_data": answers.sensor_data,
        }
        if simulator.account.refuses_early and answers.begins_before_meter(site_id, subject, window):
            raise BadRequestError("t_s lies before the activation of the meter")
        rows = series[request.endpoint](site_id, subject, simulator.bounded(window))
        return simulator.as_account_answers(rows, request.endpoint)

    def _finish(self, request: Request, answer: _Answer, fault: Fault | None) -> None:
        """Apply what a fault does to the wire, enter the call in the ledger, and send."""
        payload, status = answer.payload, answer.status
        headers = {"Retry-After": answer.retry_after} if answer.retry_after else {}
        kind = fault.kind if fault else None
        content_type = "application/json"
        if fault and kind == "short" and isinstance(payload, list) and payload:
            payload = payload[: len(payload) - max(1, round(len(payload) * fault.share))]
        if kind in ODD and isinstance(payload, list) and status == 200:
            payload = odd_rows(kind, payload)
        if kind == "redirect":
            payload, status, headers = None, 302, {"Location": "http://127.0.0.1:9/elsewhere"}
        if fault and kind == "rewrite" and fault.rewrite and status == 200:
            payload = fault.rewrite(payload)
        if fault and kind == "status":
            payload, status, headers = fault.body, fault.status, dict(fault.headers)
        if kind in {"error_object", "wrapped"} and status == 200:
            payload = {"data": payload} if kind == "wrapped" else {"message": "internal error"}
        content = _json(payload)
        if kind == "no_body":
            content = b""
        if kind == "oversize":
            content = b"[" + b" " * OVERSIZE_BYTES + b"]"
        if kind == "html":
            content, content_type = WEB_PAGE, "text/html; charset=utf-8"
        announced = None
        if fault and kind in {"truncated", "broken_off"}:
            announced = len(content) if kind == "broken_off" else None
            content = content[: max(1, int(len(content) * (1 - fault.share)))]
        whole = kind not in {"truncated", "broken_off", "html", "reset", "oversize", "no_body"}
        self.server.simulator.record(
            Call(
                arrived=self._arrived,
                method=request.method,
                endpoint=request.endpoint,
                site_id=request.site_id,
                subject=request.subject,
                t_s=request.t_s,
                t_e=request.t_e,
                sampling_frequency=request.sampling_frequency,
                status=0 if kind == "reset" else status,
                rows=len(payload) if whole and isinstance(payload, list) else 0,
                fault=kind,
            )
        )
        if fault and kind == "reset":
            self._hang_up(abort=fault.abort)
            return
        self.log_request(status, len(content))
        self._send(
            status,
            content,
            content_type=content_type,
            headers=headers,
            announced=announced,
            seconds=fault.seconds if fault and kind == "slow" else 0.0,
        )
        if kind == "broken_off":
            self._hang_up(abort=False)

    def _send(
        self,
        status: int,
        content: bytes,
        *,
        content_type: str = "application/json",
        headers: dict[str, str] | None = None,
        announced: int | None = None,
        seconds: float = 0.0,
    ) -> None:
        simulator = self.server.simulator
        lines = [
            f"HTTP/1.1 {status} {_phrase(status)}",
            f"Date: {format_datetime(simulator.clock(), usegmt=True)}",
            f"Content-Type: {content_type}",
            f"Content-Length: {len(content) if announced is None else announced}",
            f"X-Climkit-Simulator: {simulator.world.seed}",
            *(f"{name}: {value}" for name, value in (headers or {}).items()),
            *(["Connection: close"] if self.close_connection else []),
        ]
        message = ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1") + content
        if not seconds:
            self.wfile.write(message)
            return
        pieces = 10
        size = ceil(len(message) / pieces)
        for at in range(0, len(message), size):
            self.wfile.write(message[at : at + size])
            time.sleep(seconds / pieces)

    def _hang_up(self, *, abort: bool) -> None:
        self.close_connection = True
        if abort:
            # Lingering for zero seconds turns the close into a reset.
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.rfile.close()
            self.connection.close()

    def _body(self) -> bytes | None:
        """The request's body; None if it cannot be read, and the connection is then at its end."""
        length = self.headers.get("Content-Length", "0")
        if "Transfer-Encoding" in self.headers or not length.isdecimal() or int(length) > LONGEST_BODY:
            self.close_connection = True
            return None
        return self.rfile.read(int(length))

    def _token(self) -> str | None:
        scheme, _, token = (self.headers.get("Authorization") or "").partition(" ")
        return token if scheme == "Bearer" else None

    def _parameters(self, endpoint: str, query: str, body: bytes | None) -> tuple[dict[str, object], str | None]:
        """The parameters of a call, and what is wrong with them if anything is."""
        if endpoint == "sensor_data":
            return dict(parse_qsl(query)), None
        if endpoint not in SERIES_WITH_SUBJECT and endpoint != "auth":
            return {}, None
        if body is None:
            return {}, "the body needs a length, and at most 64 kB"
        if not body and endpoint != "auth":
            return {}, None
        try:
            asked = json.loads(body)
        except ValueError:
            return {}, "the body is not JSON"
        return (asked, None) if isinstance(asked, dict) else ({}, "the body is not a JSON object")


def asked_frequency(asked: dict[str, object]) -> str | None:
    """The frequency named in a request, whether it exists or not."""
    frequency = asked.get("sampling_frequency")
    return frequency if isinstance(frequency, str) else None


def _route(path: str) -> tuple[str, str | None, str | None, str]:
    """Endpoint, site, subject and method of a path."""
    parts = [unquote(part) for part in path.removeprefix(BASE_PATH + "/").split("/")]
    route: tuple[str, str | None, str | None, str]
    match parts if path.startswith(BASE_PATH + "/") else []:
        case ["auth" | "all_installations" as endpoint]:
            route = endpoint, None, None, "POST" if endpoint == "auth" else "GET"
        case ["installation_infos" | "meter_info" as endpoint, site_id]:
            route = endpoint, site_id, None, "GET"
        case ["site_data" | "meter_data" | "meter_data_raw" as endpoint, site_id, subject]:
            route = endpoint, site_id, subject, "POST"
        case [site_id, "sensors_list"]:
            route = "sensors_list", site_id, None, "GET"
        case [site_id, "sensor_data", subject]:
            route = "sensor_data", site_id, subject, "GET"
        case _:
            route = "unknown", None, None, ""
    return route


def _json(payload: object) -> bytes:
    return json.dumps(payload, separators=(",", ":")).encode()


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Unknown"
