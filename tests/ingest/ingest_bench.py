"""A data directory, a simulated API and the real client between them, on an injected clock; and plain readers."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import polars as pl

from climkit_pipeline.api.client import ClimkitClient
from climkit_pipeline.api.pacer import Pacer
from climkit_pipeline.domain.periods import local_midnight_utc
from climkit_pipeline.ingest.ingestion import Ingestion
from climkit_pipeline.ingest.ledger import CallLedger
from climkit_pipeline.ingest.reports import IngestReport, IngestRequest, Progress
from climkit_pipeline.settings import load_settings
from climkit_pipeline.simulator import Call, Fault, Request, SimulatorServer, World

CREDENTIALS = {"username": "demo", "password": "demo-simulator"}
NOW = datetime(2026, 11, 20, 9, 7, tzinfo=UTC)
QUARTER = timedelta(minutes=15)
INTERVALS = ("meter_intervals", "site_intervals")
SERIES = (*INTERVALS, "meter_indices", "sensor_readings")
ENDPOINTS = {
    "meter_data": "meter_intervals",
    "site_data": "site_intervals",
    "meter_data_raw": "meter_indices",
    "sensor_data": "sensor_readings",
}
TIMES = ("fetched_at_utc", "superseded_at_utc")
ASKED_TIMES = ("first_asked_at_utc", "last_asked_at_utc", "last_changed_at_utc")
MARCH, OCTOBER = (date(2026, 3, 28), date(2026, 3, 30)), (date(2026, 10, 24), date(2026, 10, 26))


class Clock:
    """A clock that a test sets; every look at ``now`` is a millisecond later, so that no two answers tie."""

    def __init__(self, at: datetime = NOW) -> None:
        self.at = at
        self._looks = 0

    def now(self) -> datetime:
        self._looks += 1
        return self.at + timedelta(milliseconds=self._looks)


class Patience:
    """Time for a client's retries: what it sleeps passes at once."""

    def __init__(self) -> None:
        self.skipped = 0.0

    def monotonic(self) -> float:
        return time.monotonic() + self.skipped

    def sleep(self, seconds: float) -> None:
        self.skipped += seconds


@dataclass
class Bench:
    """One data directory against one server."""

    server: SimulatorServer
    data_dir: Path
    state_dir: Path
    clock: Clock
    settings: dict[str, object] = field(default_factory=dict)
    stack: ExitStack = field(default_factory=ExitStack)
    ingestion: Ingestion | None = None

    @property
    def world(self) -> World:
        return self.server.world

    def new_ingestion(self, progress: Progress | None = None) -> Ingestion:
        """As in a new process: nothing remembered."""
        settings = load_settings(
            base_url=self.server.base_url,
            data_dir=self.data_dir,
            state_dir=self.state_dir,
            requests_per_second=1000,
            **CREDENTIALS,
            **self.settings,
        )
        patience = Patience()
        ledger = CallLedger()
        client = ClimkitClient(
            base_url=settings.base_url,
            **CREDENTIALS,
            pacer=Pacer(self.state_dir / "pacer", 1000),
            now=self.clock.now,
            monotonic=patience.monotonic,
            sleep=patience.sleep,
            on_attempt=ledger.note,
        )
        self.stack.callback(client.close)
        dice = random.Random(7)  # noqa: S311 - draws a sample, the same each time
        return Ingestion(
            settings=settings, client=client, progress=progress, ledger=ledger, now=self.clock.now, dice=dice
        )

    def run(self, first: date, last: date | None = None, **request: object) -> IngestReport:
        """One run in a process of its own, as far as memory goes."""
        self.ingestion = self.new_ingestion()
        return self.run_with(self.ingestion, first, last, **request)

    def run_with(self, ingestion: Ingestion, first: date, last: date | None = None, **request: object) -> IngestReport:
        """One more run in a process that is there already."""
        return ingestion.run(IngestRequest(first, last or first, **request))

    def run_counted(self, first: date, last: date | None = None, **request: object) -> tuple[IngestReport, list[Call]]:
        """A run and the series calls that it made."""
        self.server.forget_calls()
        report = self.run(first, last, **request)
        return report, self.series_calls()

    def series_calls(self) -> list[Call]:
        return [call for call in self.server.calls if call.endpoint in ENDPOINTS]

    # --- what lies on disk, read without the code under test ------------------------------------------------------

    def versions(self, dataset: str) -> pl.DataFrame:
        """Every version, with the day of its folder."""
        return read_lake(self.data_dir, dataset, "data")

    def current(self, dataset: str) -> pl.DataFrame:
        return self.versions(dataset).filter(pl.col("superseded_at_utc").is_null())

    def coverage(self, dataset: str) -> pl.DataFrame:
        return read_lake(self.data_dir, dataset, "coverage")

    def states(self, dataset: str, first: date, last: date | None = None) -> set[str]:
        rows = self.coverage(dataset).filter(pl.col("day").is_between(first, last or first))
        return set(rows["state"])

    def meaning(self, *, coverage: bool = True) -> dict[str, list[tuple]]:
        """The whole lake apart from when it was fetched, for comparison."""
        found = {}
        for dataset in ("sites", "meters", "sensors", *SERIES):
            rows = self.versions(dataset)
            found[dataset] = sorted(
                rows.with_columns(is_current=pl.col("superseded_at_utc").is_null()).drop(TIMES).rows(), key=repr
            )
            if coverage:
                found[f"{dataset} coverage"] = sorted(self.coverage(dataset).drop(ASKED_TIMES).rows(), key=repr)
        return found

    def landed(self) -> list[str]:
        """Whatever lies under landing/, by name."""
        return sorted(str(path.relative_to(self.data_dir / "landing")) for path in self.data_dir.glob("landing/**/*"))

    # --- other processes ------------------------------------------------------------------------------------------

    def start_process(
        self,
        first: date,
        last: date,
        *,
        die_at_rename: int = 0,
        disk_full: tuple[str, int] | None = None,
        stderr: int | None = None,
        **request: object,
    ) -> subprocess.Popen:
        """The same run as a real process.

        It may be told to kill itself as it writes the n-th file of a day, or to find the disk full after the n-th
        file under a folder.
        """
        job = {
            "base_url": self.server.base_url,
            "data_dir": str(self.data_dir),
            "state_dir": str(self.state_dir),
            "now": self.clock.at.isoformat(),
            "settings": self.settings,
            "first": first.isoformat(),
            "last": last.isoformat(),
            "request": request,
            "die_at_rename": die_at_rename,
            "disk_full": disk_full,
        }
        script = Path(__file__).with_name("ingest_process.py")
        process = subprocess.Popen(
            [sys.executable, str(script), json.dumps(job)],
            env={**os.environ, "POLARS_MAX_THREADS": "1"},
            stderr=stderr,
            text=True,
        )
        self.stack.callback(_end, process)
        return process


def _end(process: subprocess.Popen) -> None:
    if process.poll() is None:
        process.kill()
    process.wait(timeout=600)


def read_lake(data_dir: Path, dataset: str, name: str) -> pl.DataFrame:
    """All days of a dataset, with ``day`` taken from the folder's name."""
    paths = sorted((data_dir / "lake" / dataset).glob(f"day=*/{name}.parquet"))
    frame = pl.read_parquet(paths, glob=False, hive_partitioning=False, include_file_paths="path")
    day = pl.col("path").str.extract(r"/day=(\d{4}-\d\d-\d\d)/[^/]+$").str.to_date()
    return frame.select(pl.exclude("path"), day.alias("day"))


def quarters(world: World, site_id: str, first: date, last: date) -> list[datetime]:
    """Starts of the quarter-hours of local days."""
    zone = world.site(site_id).zone
    at, end = local_midnight_utc(first, zone), local_midnight_utc(last + timedelta(days=1), zone)
    return [at + number * QUARTER for number in range((end - at) // QUARTER)]


def early_by(call: Call, world: World) -> timedelta:
    """How much earlier than its first day a window of intervals begins: not before the site existed."""
    site = world.site(call.site_id)
    if ENDPOINTS[call.endpoint] not in INTERVALS or call.t_s <= local_midnight_utc(site.created, site.zone):
        return timedelta(0)
    types = {call.subject, *(meter.type for meter in site.meters if meter.id == call.subject)}
    return timedelta(minutes=90) if types & {"electricity", "charge_point"} else timedelta(days=1)


def number_of(instant: datetime) -> int:
    """Quarter-hours since 1970."""
    return int(instant.timestamp()) // 900


class Faults:
    """Faults by rule, the first that fits; each may be limited to so many times."""

    def __init__(self) -> None:
        self.rules: list[tuple[Callable[[Request], bool], Fault, int | None]] = []
        self.met = 0

    def add(self, rule: Callable[[Request], bool], fault: Fault, times: int | None = None) -> None:
        self.rules.append((rule, fault, times))

    def list_only(self, *meter_ids: str) -> None:
        """The account lists these meters alone: what a law says of one need not be fetched for the whole house."""
        self.add(
            lambda request: request.endpoint == "meter_info",
            rewriting(lambda rows: [row for row in rows if row["id"] in meter_ids]),
        )

    def __call__(self, request: Request) -> Fault | None:
        for number, (rule, fault, times) in enumerate(self.rules):
            if (times is None or times > 0) and rule(request):
                self.rules[number] = (rule, fault, None if times is None else times - 1)
                self.met += 1
                return fault
        return None


def rewriting(change: Callable[[list[dict]], Iterable[dict]]) -> Fault:
    """A fault that turns a series into another one."""
    return Fault("rewrite", rewrite=lambda rows: list(change(rows)) if isinstance(rows, list) else rows)


def stamp(row: dict) -> datetime:
    """The instant of a served row; sensors say it in seconds."""
    if isinstance(row["timestamp"], int):
        return datetime.fromtimestamp(row["timestamp"], UTC)
    return datetime.fromisoformat(row["timestamp"]).astimezone(UTC)


def lacking(first: datetime, last: datetime) -> Fault:
    """An answer without the quarter-hours that lie from ``first`` to ``last``."""
    return rewriting(lambda rows: (row for row in rows if not first < stamp(row) <= last))
