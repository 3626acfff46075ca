"""Backfills killed at random points, a third of them while they commit or publish; then one that runs to its end.

Aimed by what everybody can see of a run: the server's count of its calls, the folders of days that appear in the
lake, the file that is about to be published. The product knows nothing of it.
"""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

from outcomes import data_calls_in_ledger, differences, leftovers, outcome_of
from stage import (
    FAST,
    LONGEST_RUN_SECONDS,
    SERIES_ENDPOINTS,
    SHORT_SCENE,
    Account,
    Clean,
    Figure,
    Run,
    Scene,
    Stage,
    repeated,
    series,
)

from climkit_pipeline.simulator import SimulatorServer

SCENE = Scene(sites=1, meters=5, first_day=date(2026, 6, 1), last_day=date(2026, 9, 30))
AIMS = ("calls", "commit", "publish", "time", "commit", "publish")
"""One round; two thirds of it aim at the commit and the publish, because such a kill often comes a moment late."""
DAYS_OF_A_COMMIT = 120
"""Folders of days that a month of four series fills: a mark within them is met soon."""
LOOK_SECONDS = 0.001
LONGEST_LIFE_SECONDS = 15.0
"""A random point in time lies in here: about as long as a run takes that only has to build the models."""


@dataclass
class Crashes:
    """What the killed runs cost, and what they left."""

    kills: Counter[str] = field(default_factory=Counter)
    """By what the killed run was doing, as its leftovers tell."""
    directories: int = 0
    unequal: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    left: list[str] = field(default_factory=list)
    respent: int = 0
    most_respent: int = 0
    """By one killed process."""
    unnoted: int = 0
    """Data calls that the server counted and the ledger of calls lacks."""
    wanted: int = 0

    @property
    def problems(self) -> list[str]:
        """What is not as it should be, for a person."""
        return self.failed + self.unequal + self.left

    @property
    def figures(self) -> list[Figure]:
        """The lines of the table."""
        kills = self.kills.total()
        hit = ", ".join(f"{count} {phase}" for phase, count in sorted(self.kills.items()))
        aimed = self.kills["in a commit"] + self.kills["in a publish"]
        return [
            Figure(
                "backfills killed with SIGKILL, children included",
                f"≥ {self.wanted}, a third in commit or publish",
                f"{kills} in {self.directories} directories ({hit})",
                kills >= self.wanted and 3 * aimed >= kills,
            ),
            Figure(
                "same command afterwards: exit 0, lake and warehouse equal to an undisturbed run",
                f"{self.directories} of {self.directories}",
                f"{self.directories - len(self.failed) - len(self.unequal)} of {self.directories}",
                not self.failed and not self.unequal,
            ),
            Figure(
                "data calls asked again per killed process",
                "≤ 1",
                f"{self.most_respent} at most, {self.respent} in all",
                self.most_respent <= 1 and self.respent <= kills,
            ),
            Figure(
                "data calls missing in `api_calls` per killed process: the one in flight",
                "≤ 1",
                f"{self.unnoted} of {kills} kills",
                0 <= self.unnoted <= kills,
            ),
            Figure("files that an undisturbed run does not leave", "0", str(len(self.left)), not self.left),
        ]


def rehearse_crashes(stage: Stage, *, seed: int, is_short: bool = False) -> Crashes:
    """Kill backfills (60 and more, or 6) and compare what the last one leaves with an undisturbed run."""
    dice = random.Random(seed)  # noqa: S311 - a rehearsal that can be repeated
    scene, wanted = (SHORT_SCENE, 6) if is_short else (SCENE, 60)
    crashes = Crashes(wanted=wanted)
    clean = stage.clean(scene)
    with SimulatorServer(scene.world(), requests_per_second=FAST) as server:
        # A run may end before its mark: then its directory is done, and another one begins.
        while crashes.kills.total() < wanted and crashes.directories < wanted:
            server.forget_calls()
            _kill_in_one_directory(
                stage.account(server, "crashes"), server, scene, clean=clean, dice=dice, crashes=crashes
            )
            stage.tell(
                f"{crashes.kills.total()} kills, {crashes.directories} directories; {crashes.problems or 'equal'}"
            )
    return crashes


def _kill_in_one_directory(
    account: Account, server: SimulatorServer, scene: Scene, *, clean: Clean, dice: random.Random, crashes: Crashes
) -> None:
    killed_after: list[int] = []
    for aim in AIMS * (1 if crashes.wanted == len(AIMS) else 2):
        mark, longest_delay = _mark(aim, account.data_dir, server, clean, dice)
        began = time.time_ns()
        run = account.start("backfill", *scene.range)
        if _kill_at(run, mark, dice.uniform(0, longest_delay)):
            crashes.kills[_phase(account.data_dir, began)] += 1
            killed_after.append(len(series(server.calls)))
    last = account.finish("backfill", *scene.range)
    crashes.directories += 1
    name = account.folder.name
    if last.process.returncode != 0:
        crashes.failed.append(f"{name}: exit {last.process.returncode}: {last.said}")
        return
    outcome = outcome_of(account.data_dir, scene.last_day)
    unequal = differences(clean.outcome.lake, outcome.lake)
    unequal += differences(clean.outcome.warehouse, outcome.warehouse)
    if unequal:
        crashes.unequal.append(f"{name}: " + "; ".join(unequal))
    crashes.left += [
        f"{name}: {file}" for file in leftovers(account.data_dir, account.temporary, outcome, clean.outcome)
    ]
    calls = series(server.calls)
    crashes.unnoted += len(calls) - data_calls_in_ledger(account.data_dir, SERIES_ENDPOINTS)
    # What is asked beyond an undisturbed run is re-spent, whatever its windows.
    crashes.respent += max(repeated(calls), len(calls) - clean.series_calls)
    starts = [0, *killed_after]
    for start, end in zip(starts, killed_after, strict=False):
        own, later = calls[start:end], calls[end:]
        crashes.most_respent = max(crashes.most_respent, repeated(own + later) - repeated(later))


def _mark(
    aim: str, data_dir: Path, server: SimulatorServer, clean: Clean, dice: random.Random
) -> tuple[Callable[[], bool], float]:
    """A condition to wait for, and for how long at most a run lives on after it, in seconds."""
    asked, days = len(series(server.calls)), _days(data_dir)
    days_in_the_end = sum(name.endswith("/data.parquet") and "_" in name.split("/")[1] for name in clean.outcome.files)
    if aim == "calls" and asked < clean.series_calls:
        call = dice.randint(asked + 1, clean.series_calls)
        return lambda: len(server.calls) >= call and len(series(server.calls)) >= call, 0.05
    if aim == "commit" and days < days_in_the_end:
        day = dice.randint(days + 1, min(days_in_the_end, days + DAYS_OF_A_COMMIT))
        return lambda: _days(data_dir) >= day, 0.02
    if aim in {"commit", "publish"}:
        publishing, began = data_dir / "build" / "publishing.duckdb", time.time_ns()
        return lambda: _modified_ns(publishing) > began, 0.05
    return lambda: True, LONGEST_LIFE_SECONDS


def _kill_at(run: Run, mark: Callable[[], bool], delay: float) -> bool:
    """Kill a run that long after its mark; whether it still lived."""
    deadline = time.monotonic() + LONGEST_RUN_SECONDS
    at = None
    while run.process.poll() is None and time.monotonic() < deadline:
        if at is None and mark():
            at = time.monotonic() + delay
        if at is not None and time.monotonic() >= at:
            run.kill()
            return True
        time.sleep(LOOK_SECONDS)
    run.kill()
    return False


def _phase(data_dir: Path, began: int) -> str:
    """What a run killed just now was doing, by what it left since it ``began``."""
    if _modified_ns(data_dir / "build" / "publishing.duckdb") > began:
        return "in a publish"
    landed = [_modified_ns(path) for path in data_dir.glob("landing/*/*.answer.gz")]
    newest_day = max((_modified_ns(day) for day in data_dir.glob("lake/*_*/day=2*")), default=0)
    if landed and newest_day > max(*landed, began):
        return "in a commit"
    return "while it called" if landed and max(landed) > began else "elsewhere"


def _days(data_dir: Path) -> int:
    """How many folders of days the series in the lake have: one appears as its first file is written."""
    return sum(1 for _ in data_dir.glob("lake/*_*/day=2*"))


def _modified_ns(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except FileNotFoundError:
        return 0
