"""What the tests of the client share: a clock that sleeping moves, an account, and a server that answers by script."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from climkit_pipeline.domain.periods import Period

NOW = datetime(2026, 11, 23, 12, 3, tzinfo=UTC)
USERNAME = "demo"
PASSWORD = "demo-simulator"
DAY = Period(datetime(2026, 11, 9, 23, tzinfo=UTC), datetime(2026, 11, 10, 23, tzinfo=UTC))
"""The 10th of November in Zurich."""
FIRST_DAY = date(2026, 10, 1)


class FakeClock:
    """Both clocks of a machine, moved by sleeping only; safe between threads."""

    def __init__(self) -> None:
        self.slept: list[float] = []
        self._seconds = 1000.0
        self._lock = threading.Lock()

    def monotonic(self) -> float:
        with self._lock:
            return self._seconds

    def now(self) -> datetime:
        return NOW + timedelta(seconds=self.monotonic() - 1000)

    def advance(self, seconds: float) -> None:
        with self._lock:
            self._seconds += seconds

    def sleep(self, seconds: float) -> None:
        assert seconds >= 0
        self.slept.append(seconds)
        self.advance(seconds)


class NoPacer:
    """Any call at any time: for tests that are not about the rate."""

    def wait(self) -> None:
        return

    def sent(self) -> None:
        return


Script = Callable[["ScriptedHandler"], None]


class ScriptedServer:
    """Answers each request with ``script``; ``asked`` tells method, path and body of each, in order."""

    def __init__(self, script: Script) -> None:
        self.script = script
        self.asked: list[tuple[str, str, bytes]] = []
        self._http = _Http(self)

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self._http.server_address[1]}/api/v1"

    @property
    def paths(self) -> list[str]:
        return [path.removeprefix("/api/v1") for _, path, _ in self.asked]


class _Http(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, owner: ScriptedServer) -> None:
        self.owner = owner
        super().__init__(("127.0.0.1", 0), ScriptedHandler)

    def handle_error(self, request: object, client_address: object) -> None:
        """Clients of these tests hang up on purpose."""


class ScriptedHandler(BaseHTTPRequestHandler):
    """One request of a scripted server."""

    server: _Http
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_message(self, *_: object) -> None:
        return

    def _serve(self) -> None:
        length = int(self.headers.get("Content-Length", "0"))
        self.body = self.rfile.read(length)
        self.server.owner.asked.append((self.command, self.path, self.body))
        self.server.owner.script(self)

    do_GET = do_POST = _serve  # noqa: N815 - names of the standard library

    def answer(self, status: int, content: bytes = b"[]", headers: dict[str, str] | None = None) -> None:
        """Send a whole answer in one piece."""
        lines = [f"HTTP/1.1 {status} X", f"Content-Length: {len(content)}"]
        lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
        self.wfile.write(("\r\n".join(lines) + "\r\n\r\n").encode("latin-1") + content)


TOKEN = "the-token-that-nobody-may-see"
LOG_IN = f'{{"access_token": "{TOKEN}", "valid_until": {{"$date": 1795437000000}}}}'.encode()
"""Valid until 2026-11-23 12:30 UTC."""


def logging_in(data: Script) -> Script:
    """A script that accepts every log-in and leaves the data calls to ``data``."""

    def script(request: ScriptedHandler) -> None:
        if request.path.endswith("/auth"):
            request.answer(200, LOG_IN)
        else:
            data(request)

    return script


@contextmanager
def scripted_server(script: Script) -> Iterator[ScriptedServer]:
    """A scripted server, served from a thread until the block ends."""
    server = ScriptedServer(script)
    thread = threading.Thread(target=server._http.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)  # noqa: SLF001
    thread.start()
    try:
        yield server
    finally:
        server._http.shutdown()  # noqa: SLF001
        thread.join()
        server._http.server_close()  # noqa: SLF001
