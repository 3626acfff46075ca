"""What every rehearsal stands on: a simulated account, real ``climkit`` processes, and figures that are met or not.

Here: processes and the server's count of their calls. Not here: what they left on disk (``outcomes``).
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from bisect import bisect_right
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import date
from functools import cache
from pathlib import Path

from outcomes import Outcome, outcome_of

from climkit_pipeline.simulator import Call, Fault, Request, SimulatorServer, World

SERIES_ENDPOINTS = frozenset({"meter_data", "meter_data_raw", "site_data", "sensor_data"})
WORLD_SEED = 7
USERNAME, PASSWORD = "demo", "demo-simulator"
LONGEST_RUN_SECONDS = 1800
"""A run that takes longer hangs: the longest here waits ten minutes for its calls."""
FAST = 200.0
"""Calls a second where the limit is not what is rehearsed: the answers then take longer than the waiting."""


@dataclass(frozen=True)
class Figure:
    """One line of the table: what was measured, and whether it is what was asked for."""

    what: str
    asked: str
    measured: str
    is_met: bool


@dataclass(frozen=True)
class Scene:
    """A world, and the range of local days to backfill in it."""

    sites: int
    meters: int
    first_day: date
    last_day: date

    def world(self) -> World:
        """The same world each time, which works out its registers once."""
        return _world(self.sites, self.meters)

    @property
    def range(self) -> tuple[str, str]:
        """FROM and TO."""
        return self.first_day.isoformat(), self.last_day.isoformat()


@cache
def _world(sites: int, meters: int) -> World:
    return World(seed=WORLD_SEED, sites=sites, meters=meters)


SHORT_SCENE = Scene(sites=1, meters=5, first_day=date(2026, 9, 1), last_day=date(2026, 9, 30))
"""For short forms, which share its undisturbed run."""


@dataclass
class Run:
    """A ``climkit`` process in a session of its own, so that its children can be killed with it."""

    process: subprocess.Popen[bytes]
    log: Path

    def wait(self, seconds: float = LONGEST_RUN_SECONDS) -> int:
        """Its exit status; a run that does not end is killed and raises."""
        try:
            return self.process.wait(seconds)
        except BaseException:
            self.kill()
            raise

    def kill(self) -> None:
        """SIGKILL for the process and all its children, at once."""
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(30)

    @property
    def said(self) -> str:
        """The last lines of its output."""
        return " | ".join(self.log.read_text(errors="replace").splitlines()[-4:])[-700:]


@dataclass
class Account:
    """One data directory, and the environment of the commands on it."""

    folder: Path
    base_url: str
    requests_per_second: float
    settings: dict[str, str] = field(default_factory=dict)
    runs: list[Run] = field(default_factory=list)

    @property
    def data_dir(self) -> Path:
        return self.folder / "data"

    @property
    def temporary(self) -> Path:
        """Where the processes put temporary files: what killed ones leave there is counted, too."""
        return self.folder / "tmp"

    def start(self, *arguments: str, **settings: str) -> Run:
        """Start a command; the settings are named without their prefix."""
        self.temporary.mkdir(parents=True, exist_ok=True)
        log = self.folder / f"run-{len(self.runs):03d}.log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                [str(Path(sys.executable).with_name("climkit")), *arguments],
                env=self._environment(self.settings | settings),
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        run = Run(process, log)
        self.runs.append(run)
        return run

    def finish(self, *arguments: str, **settings: str) -> Run:
        """Run a command to its end."""
        run = self.start(*arguments, **settings)
        run.wait()
        return run

    def _environment(self, settings: dict[str, str]) -> dict[str, str]:
        # Nothing of whoever rehearses: neither their account nor their Dagster instance.
        kept = {name: os.environ[name] for name in ("LANG", "PYTHONPATH") if name in os.environ}
        return {
            **kept,
            "PATH": "/usr/bin:/bin",
            "HOME": str(self.folder),
            "TMPDIR": str(self.temporary),
            "CLIMKIT_BASE_URL": self.base_url,
            "CLIMKIT_USERNAME": USERNAME,
            "CLIMKIT_PASSWORD": PASSWORD,
            "CLIMKIT_DATA_DIR": str(self.data_dir),
            "CLIMKIT_STATE_DIR": str(self.folder / "state"),
            "CLIMKIT_REQUESTS_PER_SECOND": f"{self.requests_per_second:g}",
            **{f"CLIMKIT_{name}": value for name, value in settings.items()},
        }


@dataclass(frozen=True)
class Clean:
    """An undisturbed run: what it left and what it cost."""

    outcome: Outcome
    calls: int
    series_calls: int


@dataclass
class Stage:
    """Folders for the rehearsals of one session, and the undisturbed runs that they compare with."""

    root: Path
    tell: Callable[[str], None] = lambda _: None
    _clean: dict[tuple[Scene, bool], Clean] = field(default_factory=dict)

    def new_folder(self, name: str) -> Path:
        """A folder that nobody else uses."""
        return Path(tempfile.mkdtemp(prefix=f"{name}-", dir=self.root))

    def account(
        self, server: SimulatorServer, name: str, *, requests_per_second: float = FAST, **settings: str
    ) -> Account:
        """A new account's directory against a server."""
        return Account(self.new_folder(name), server.base_url, requests_per_second, settings)

    def clean(self, scene: Scene, *, with_models: bool = True) -> Clean:
        """What one undisturbed backfill of a scene gives; run once per scene. Raises RuntimeError if it fails."""
        key = scene, with_models
        if key not in self._clean:
            with SimulatorServer(scene.world(), requests_per_second=FAST) as server:
                account = self.account(server, "undisturbed")
                run = account.finish("backfill", *scene.range, *([] if with_models else ["--no-models"]))
                if run.process.returncode != 0:
                    raise RuntimeError(f"the undisturbed run failed: {run.said}")
                calls = server.calls
            self._clean[key] = Clean(outcome_of(account.data_dir, scene.last_day), len(calls), len(series(calls)))
        return self._clean[key]


def series(calls: Iterable[Call]) -> list[Call]:
    """The calls for data, in the order of their arrival; log-ins and listings apart."""
    return sorted((call for call in calls if call.endpoint in SERIES_ENDPOINTS), key=lambda call: call.arrived)


def repeated(calls: Iterable[Call]) -> int:
    """How many calls for data asked what had been asked before."""
    windows = [(call.endpoint, call.site_id, call.subject, call.t_s, call.t_e) for call in series(calls)]
    return len(windows) - len(set(windows))


def breaches(calls: Iterable[Call], requests_per_second: float) -> int:
    """How many calls were one too many in the sliding second that ends with them, by the server's clock.

    Below one call a second the window is longer, so that it allows one.
    """
    allowed = max(1, int(requests_per_second))
    span = allowed / requests_per_second
    arrivals = sorted(call.arrived for call in calls)
    # An arrival exactly one window earlier has left it.
    return sum(number + 1 - bisect_right(arrivals, at - span) > allowed for number, at in enumerate(arrivals))


def share_of_slots(calls: Sequence[Call], requests_per_second: float) -> float:
    """Calls made from the first to the last of ``calls``, of those that the rate allows in that time."""
    first, *_, last = sorted(call.arrived for call in calls)
    return len(calls) / ((last - first) * requests_per_second + 1)


def late(seconds: float) -> Callable[[Request], Fault | None]:
    """For a server's ``interceptor``: every answer is that late; others are answered meanwhile."""

    def wait(_: Request) -> Fault | None:
        time.sleep(seconds)
        return None

    return wait
