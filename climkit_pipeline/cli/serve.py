"""``climkit serve``: Dagster's webserver, its daemon and the code location as a service.

    webserver ──┐
                ├──> code location (a port of this machine) ──> one process per run
    daemon ─────┘

Each is a process of its own, in a process group of its own, and is started again alone when it dies. Here: starting,
watching and stopping them. Not here: what they do, and when the machine starts this command (deploy/).
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from multiprocessing import get_context
from pathlib import Path
from typing import Literal, get_args

import click

from climkit_pipeline.errors import ConfigurationError
from climkit_pipeline.files import LockBusyError, file_lock
from climkit_pipeline.installation import ROOT_DIR
from climkit_pipeline.lake.account import check_format, check_writable
from climkit_pipeline.lake.layout import Layout
from climkit_pipeline.settings import LOOPBACK_HOSTS, load_settings

Part = Literal["code", "daemon", "webserver"]
PARTS: tuple[Part, ...] = get_args(Part)
"""In the order in which they start; they stop the other way round."""

LOOPBACK = "127.0.0.1"
DEFAULT_PORT, DEFAULT_CODE_PORT = 3000, 4266
LONGEST_WAIT_SECONDS = 60.0
"""Before a process that keeps dying is started again; the first wait is a second, each next one twice as long."""
STEADY_SECONDS = 60.0
"""A process that lived this long has begun well: its next wait is the first one again."""
STOP_SECONDS = 120.0
"""What a process gets to end by itself: a run's last call may take as long."""
CODE_READY_SECONDS = 180.0
"""For the code location before the others are started all the same; they look for it again by themselves."""
LOOK_SECONDS = 0.3


@dataclass(frozen=True)
class ServeOptions:
    """Where the processes listen."""

    host: str
    port: int
    code_host: str
    code_port: int
    is_read_only: bool


def run_serve(options: ServeOptions, only: Part | None) -> int:
    """Serve until SIGTERM or SIGINT; with ``only``, one process, which is not started again: the exit status.

    Raises ConfigurationError if a port or the daemon's place is taken, before anything starts.
    """
    settings = load_settings()
    layout = Layout(settings.data_dir)
    check_writable(layout)
    check_format(layout)
    parts = PARTS if only is None else (only,)
    _check_ports(options, parts)
    # In another process, because Dagster would stay in this one's memory for as long as it watches.
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        home = pool.submit(_prepare_instance, layout).result()
    code_host = LOOPBACK if only is None else options.code_host
    environment = os.environ | settings.as_environment() | {"DAGSTER_HOME": str(home)}
    environment |= {"CODE_LOCATION_HOST": code_host, "CODE_LOCATION_PORT": str(options.code_port)}
    with ExitStack() as stack:
        daemon_lock = stack.enter_context(only_daemon(layout)) if "daemon" in parts else None
        children = [
            _Child(
                part,
                _command(part, options, code_host),
                # Runs are children of the code location: nobody else has to know the account.
                environment if part == "code" else environment | {"CLIMKIT_USERNAME": "", "CLIMKIT_PASSWORD": ""},
                home,
                daemon_lock if part == "daemon" else None,
            )
            for part in parts
        ]
        return _Supervisor(children, restarts=only is None).run(
            (code_host, options.code_port) if only is None else None, options
        )


def _prepare_instance(layout: Layout) -> Path:
    from climkit_pipeline.defs.launch import open_instance

    with open_instance(layout):
        return Path(os.environ["DAGSTER_HOME"])


def _command(part: Part, options: ServeOptions, code_host: str) -> list[str]:
    python = [sys.executable, "-P", "-m"]  # without the folder that it runs in: it may hold anything
    workspace = ["-w", str(ROOT_DIR / "workspace.service.yaml")]
    match part:
        case "code":
            # The plain server: a service's code changes with its process, so nothing has to reload it.
            return [*python, "dagster", "api", "grpc", "-m", "climkit_pipeline.definitions", "-h", code_host,
                    "-p", str(options.code_port), "--location-name", "climkit"]  # fmt: skip
        case "daemon":
            return [*python, "dagster._daemon", "run", *workspace]
        case "webserver":
            read_only = ["--read-only"] if options.is_read_only else []
            address = ["-h", options.host, "-p", str(options.port)]
            return [*python, "dagster_webserver", *workspace, *address, *read_only]


def _check_ports(options: ServeOptions, parts: Sequence[Part]) -> None:
    wanted = {"webserver": (options.host, options.port), "code": (options.code_host, options.code_port)}
    for part in parts:
        if part in wanted:
            _check_port(*wanted[part])
    if "webserver" in parts and options.host not in LOOPBACK_HOSTS:
        _say(f"the UI listens on {options.host} and asks for no password: put a login in front (docs/operations.md)")


def _check_port(host: str, port: int) -> None:
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as trial:
            trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            trial.bind(address)
    except OSError as error:
        raise ConfigurationError(f"port {port} of {host} cannot be used: {error.strerror or error}") from error


@contextmanager
def only_daemon(layout: Layout) -> Iterator[int]:
    """Be the one that runs a daemon on this data directory: two would start every schedule's run twice.

    Yields the lock's descriptor. Raises ConfigurationError if there is another.
    """
    try:
        with file_lock(layout.lock("daemon"), blocking=False) as descriptor:
            yield descriptor
    except LockBusyError as error:
        raise ConfigurationError(f"another daemon runs on {layout.root}: stop it first") from error


def _say(message: str) -> None:
    click.echo(f"climkit serve: {message}", err=True)


@dataclass
class _Child:
    """One process, started as often as needed."""

    name: Part
    command: list[str]
    environment: Mapping[str, str]
    folder: Path
    lock: int | None
    """Inherited, so that it is held for as long as the process lives, whatever becomes of this one."""
    process: subprocess.Popen[bytes] | None = None
    began: float = 0.0
    deaths: int = 0
    """In a row, each soon after the start."""
    due: float = field(default_factory=time.monotonic)
    """When it is to be started next."""

    def start(self) -> None:
        self.began = time.monotonic()
        self.process = subprocess.Popen(  # noqa: S603 - our own command, no shell
            self.command,
            env=dict(self.environment),
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            start_new_session=True,  # a Ctrl-C reaches this process alone, which stops them in order
            pass_fds=() if self.lock is None else (self.lock,),
        )
        _say(f"{self.name} started (pid {self.process.pid})")

    def bury(self) -> int | None:
        """The exit status if it has ended since the last look, and when to start it again."""
        if self.process is None or (status := self.process.poll()) is None:
            return None
        # Runs are children of the code location: whatever is left of the group would answer to nobody.
        _signal_group(self.process.pid, signal.SIGTERM)
        self.deaths = 1 if time.monotonic() - self.began > STEADY_SECONDS else self.deaths + 1
        self.due = time.monotonic() + self.wait
        self.process = None
        return status

    @property
    def wait(self) -> float:
        return min(LONGEST_WAIT_SECONDS, 2.0 ** min(self.deaths - 1, 10))

    def stop(self) -> int | None:
        """End the process and its group; the exit status, or None if it was not running."""
        if self.process is None:
            return None
        _signal_group(self.process.pid, signal.SIGTERM)
        try:
            status = self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            _say(f"{self.name} did not end within {STOP_SECONDS:.0f} s and is killed")
            status = None
        _signal_group(self.process.pid, signal.SIGKILL)
        self.process.wait()
        return status


def _signal_group(group: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.killpg(group, number)


class _Supervisor:
    """Keeps the processes running until it is told to stop."""

    def __init__(self, children: Sequence[_Child], *, restarts: bool) -> None:
        self._children = children
        self._restarts = restarts
        self._stop = threading.Event()

    def run(self, code_address: tuple[str, int] | None, options: ServeOptions) -> int:
        """Until a signal, or the end of a process that is not started again: the exit status."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: self._stop.set())
        try:
            if code_address is not None:
                self._children[0].start()
                self._await_code(code_address)
                _say(f"Dagster's UI: http://{options.host}:{options.port}  (Ctrl-C stops it)")
            return self._watch()
        finally:
            for child in reversed(self._children):
                child.stop()
            _say("stopped")

    def _await_code(self, address: tuple[str, int]) -> None:
        """The others would begin with an error in the UI, and look for the code location only a minute later."""
        process = self._children[0].process
        end = time.monotonic() + CODE_READY_SECONDS
        while time.monotonic() < end and not self._stop.wait(LOOK_SECONDS):
            if process is None or process.poll() is not None:
                return
            with socket.socket() as trial:
                if trial.connect_ex(address) == 0:
                    return

    def _watch(self) -> int:
        while not self._stop.is_set():
            for child in self._children:
                status = child.bury()
                if status is not None and not self._restarts:
                    _say(f"{child.name} ended with status {status}")
                    return 1  # nobody asked it to: whoever watches starts it again
                if status is not None:
                    _say(f"{child.name} ended with status {status}; it is started again in {child.wait:.0f} s")
                if child.process is None and time.monotonic() >= child.due:
                    child.start()
            self._stop.wait(LOOK_SECONDS)
        return 0
