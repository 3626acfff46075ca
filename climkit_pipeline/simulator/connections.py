"""Connections to the simulator: requests read, faults applied to the wire, answers written, calls entered.

Each answer is one write on a socket without Nagle's algorithm: two small writes would wait 40 ms for the client's
delayed acknowledgement.

Here: HTTP. Not here: who may call and how often (``simulator.server``), what is answered (``simulator.answers``).
"""

from __future__ import annotations

import json
import socket
import socketserver
import struct
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from email.utils import format_datetime
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from math import ceil
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, unquote, urlsplit

from climkit_pipeline.simulator.answers import (
    BadRequestError,
    RefusedError,
    UnknownError,
    Window,
    parse_window,
)
from climkit_pipeline.simulator.faults import (
    KINDS,
    ODD,
    OVERSIZE_BYTES,
    STATUS_OF_KIND,
    Fault,
    Request,
    odd_rows,
)

if TYPE_CHECKING:
    from climkit_pipeline.simulator.server import SimulatorServer

BASE_PATH = "/api/v1"
HOST = "127.0.0.1"
LONGEST_BODY = 64 * 1024
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


class HttpServer(ThreadingHTTPServer):
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

    server: HttpServer
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
