"""How many calls a backfill takes: as planned, as counted by the server, and the second time."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field
from datetime import date, timedelta

from stage import FAST, PASSWORD, USERNAME, WORLD_SEED, Figure, Scene, Stage, series

from climkit_pipeline.api.client import ClimkitClient
from climkit_pipeline.api.pacer import Pacer
from climkit_pipeline.ingest.ingestion import Ingestion
from climkit_pipeline.ingest.reports import IngestRequest
from climkit_pipeline.settings import load_settings
from climkit_pipeline.simulator import SimulatorServer, World

QUARTER_YEAR = Scene(1, 24, date(2026, 7, 1), date(2026, 9, 30))
SHORT_QUARTER_YEAR = Scene(1, 4, date(2026, 7, 1), date(2026, 9, 30))
"""92 days."""
MOST_CALLS, SHORT_MOST_CALLS = 75, 12
CHUNK_DAYS = 31
LONG_AGO, LATELY = date(2023, 10, 1), date(2026, 9, 30)
"""36 months."""
MOST_WINDOWS = 37


@dataclass
class Windows:
    """Calls for validated series of meters, unless it says otherwise."""

    days: int
    meters: int
    most_calls: int
    planned: int
    counted: int
    again: int
    """Calls for any data of the second backfill."""
    most_windows: int
    """Of any meter, in chunks."""
    problems: list[str] = field(default_factory=list)

    @property
    def figures(self) -> list[Figure]:
        """The lines of the table."""
        return [
            Figure(
                f"calls for `meter_intervals`: {self.days} days, {self.meters} meters",
                f"≤ {self.most_calls}",
                f"{self.planned} by `--plan`, {self.counted} counted by the server",
                self.planned == self.counted <= self.most_calls and not self.problems,
            ),
            Figure("… data calls of the same backfill again", "0", str(self.again), self.again == 0),
            Figure(
                f"windows per meter: 36 months in chunks of {CHUNK_DAYS} days, as the UI makes them",
                f"≤ {MOST_WINDOWS}",
                str(self.most_windows),
                0 < self.most_windows <= MOST_WINDOWS,
            ),
        ]


def rehearse_windows(stage: Stage, *, is_short: bool = False) -> Windows:
    """Count a quarter of a year of 24 meters (or 4) twice, and plan three years in chunks."""
    scene = SHORT_QUARTER_YEAR if is_short else QUARTER_YEAR
    command = ["backfill", *scene.range, "--dataset", "meter_intervals"]
    with SimulatorServer(scene.world(), requests_per_second=FAST) as server:
        account = stage.account(server, "windows")
        plan = account.finish(*command, "--plan")
        planned = re.search(r"^([0-9,]+) calls, ", plan.log.read_text(), re.MULTILINE)
        runs, counted = [plan], [len(series(server.calls))]
        for _ in range(2):
            runs.append(account.finish(*command, "--no-models"))
            counted.append(len(series(server.calls)) - sum(counted))
    asked_by_plan, asked, again = counted
    failed = [f"exit {run.process.returncode}: {run.said}" for run in runs if run.process.returncode != 0]
    return Windows(
        days=(scene.last_day - scene.first_day).days + 1,
        meters=scene.meters,
        most_calls=SHORT_MOST_CALLS if is_short else MOST_CALLS,
        planned=int(planned[1].replace(",", "")) if planned else 0,
        counted=asked,
        again=again,
        most_windows=_most_windows_in_chunks(stage),
        problems=failed + ([f"--plan made {asked_by_plan} calls for data"] if asked_by_plan else []),
    )


def _most_windows_in_chunks(stage: Stage) -> int:
    """Windows of the meter that needs most, when a long range is asked for in runs of 31 days, oldest first."""
    windows: Counter[tuple[str, str]] = Counter()
    world = World(seed=WORLD_SEED, sites=1, meters=3, created=LONG_AGO - timedelta(days=100))
    with SimulatorServer(world, requests_per_second=FAST) as server:
        account = stage.account(server, "chunks")
        settings = load_settings(
            base_url=server.base_url, username=USERNAME, password=PASSWORD, data_dir=account.data_dir
        )
        pacer = Pacer(account.folder / "pacer", FAST)
        with ClimkitClient(base_url=settings.base_url, username=USERNAME, password=PASSWORD, pacer=pacer) as client:
            ingestion = Ingestion(settings=settings, client=client)
            first = LONG_AGO
            while first <= LATELY:
                last = min(first + timedelta(days=CHUNK_DAYS - 1), LATELY)
                request = IngestRequest(first, last, ("meter_intervals",))
                plan = ingestion.plan(request, ingestion.listings_for(request).sites)
                windows.update((task.site_id, task.subject_id) for task in plan.tasks)
                first = last + timedelta(days=1)
    return max(windows.values())
