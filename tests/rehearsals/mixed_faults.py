"""Backfills against an API that fails one answer in twenty, all kinds that pass mixed: complete, and hardly dearer."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import date

from outcomes import DATASETS, differences, outcome_of, without_confirmations
from stage import FAST, Figure, Scene, Stage

from climkit_pipeline.simulator import FaultPlan, SimulatorServer
from climkit_pipeline.simulator.faults import PASSING

SCENE = Scene(sites=1, meters=15, first_day=date(2026, 5, 1), last_day=date(2026, 9, 30))
SHORT_SCENE = Scene(sites=1, meters=15, first_day=date(2026, 8, 1), last_day=date(2026, 9, 30))
REPAIRED = frozenset(f"{name} coverage" for name in DATASETS)
"""Two answers may fill one day, of which neither confirms the whole: the counts of equal answers differ there."""
SHARE = 0.05
MOST_CALLS = 1.15
"""Times the calls of a clean run: 5 % are made again, and a short answer costs a call for what it lacks."""


@dataclass
class MixedFaults:
    """One backfill per seed."""

    seeds: list[int]
    clean_calls: int
    calls: list[int] = field(default_factory=list)
    met: Counter[str] = field(default_factory=Counter)
    """Faults by kind."""
    failed: list[str] = field(default_factory=list)
    unequal: list[str] = field(default_factory=list)

    @property
    def problems(self) -> list[str]:
        """What is not as it should be, for a person."""
        return self.failed + self.unequal

    @property
    def figures(self) -> list[Figure]:
        """The lines of the table."""
        seeds, complete = len(self.seeds), len(self.seeds) - len(self.failed) - len(self.unequal)
        ratios = [calls / self.clean_calls for calls in self.calls]
        kinds = ", ".join(f"{count} {kind}" for kind, count in sorted(self.met.items()))
        return [
            Figure(
                f"backfills with {SHARE:.0%} mixed faults: exit 0, lake equal to a clean run",
                f"{seeds} of {seeds} seeds",
                f"{complete} of {seeds} ({kinds})",
                complete == seeds,
            ),
            Figure(
                "… calls of each, times those of a clean run",
                f"≤ {MOST_CALLS}",
                f"{min(ratios):.3f} to {max(ratios):.3f} (clean: {self.clean_calls})",
                max(ratios) <= MOST_CALLS,
            ),
        ]


def rehearse_mixed_faults(stage: Stage, *, seed: int, is_short: bool = False) -> MixedFaults:
    """A backfill for each of ten seeds, or of one."""
    scene = SHORT_SCENE if is_short else SCENE
    clean = stage.clean(scene, with_models=False)
    result = MixedFaults(seeds=[seed + number for number in range(1 if is_short else 10)], clean_calls=clean.calls)
    world = scene.world()
    for number in result.seeds:
        plan = FaultPlan(dict.fromkeys(PASSING, SHARE / len(PASSING)), seed=number)
        with SimulatorServer(world, requests_per_second=FAST, faults=plan) as server:
            account = stage.account(server, "faults")
            run = account.finish("backfill", *scene.range, "--no-models")
            calls = server.calls
        result.calls.append(len(calls))
        result.met.update(call.fault for call in calls if call.fault)
        if run.process.returncode != 0:
            result.failed.append(f"seed {number}: exit {run.process.returncode}: {run.said}")
            continue
        outcome = outcome_of(account.data_dir, scene.last_day)
        unequal = differences(*(without_confirmations(of.lake, REPAIRED) for of in (clean.outcome, outcome)))
        if unequal:
            result.unequal.append(f"seed {number}: " + "; ".join(unequal))
        stage.tell(f"seed {number}: {len(calls)} calls, {unequal or 'equal'}")
    return result
