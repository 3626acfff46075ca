"""Three backfills at once on one empty data directory and one account: they share the rate, and ask nothing twice."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import date, timedelta

from outcomes import data_calls_in_ledger, differences, leftovers, outcome_of, without_confirmations
from stage import FAST, SERIES_ENDPOINTS, SHORT_SCENE, Figure, Scene, Stage, breaches, repeated, series

from climkit_pipeline.simulator import Call, SimulatorServer, World

SCENE = Scene(sites=2, meters=12, first_day=date(2026, 4, 1), last_day=date(2026, 9, 30))
"""Over 300 calls for data: two minutes at 3/s, and the models."""
RANGES = (
    (date(2026, 4, 1), date(2026, 9, 30)),
    (date(2026, 7, 1), date(2026, 9, 30)),
    (date(2026, 4, 1), date(2026, 8, 15)),
)
SHORT_RANGES = (
    (date(2026, 9, 1), date(2026, 9, 30)),
    (date(2026, 9, 10), date(2026, 9, 30)),
    (date(2026, 9, 1), date(2026, 9, 20)),
)
QUARTER = timedelta(minutes=15)
CONFIRMED_AT_EDGES = frozenset({"meter_indices coverage", "sensor_readings coverage", "coverage_days"})
"""A window of readings begins a day early: overlapping ranges confirm more days, and count more equal answers."""


@dataclass
class Soak:
    """What the server counted, and what the three left."""

    seconds: float
    calls: int
    breaches: int
    refused: int
    requests_per_second: float
    asked_twice: int
    clean_series_calls: int
    series_calls: int
    noted: int
    """Data calls in the ledger of calls."""
    failed: list[str] = field(default_factory=list)
    unequal: list[str] = field(default_factory=list)
    left: list[str] = field(default_factory=list)

    @property
    def problems(self) -> list[str]:
        """What is not as it should be, for a person."""
        return self.failed + self.unequal + self.left

    @property
    def figures(self) -> list[Figure]:
        """The lines of the table."""
        runs = f"{self.calls} calls at {self.requests_per_second:g}/s in {self.seconds:.0f} s"
        return [
            Figure(
                "3 backfills at once from an empty directory: sliding windows above the limit",
                "0",
                f"{self.breaches} ({runs}; {self.refused} answered with 429)",
                self.breaches == 0,
            ),
            Figure("… exit status 0", "3 of 3", f"{3 - len(self.failed)} of 3", not self.failed),
            Figure(
                "… days of a meter asked for twice",
                "0",
                f"{self.asked_twice} ({self.series_calls} data calls; one run alone: {self.clean_series_calls})",
                self.asked_twice == 0,
            ),
            Figure(
                "… data calls in `api_calls`",
                "all",
                f"{self.noted} of {self.series_calls}",
                self.noted == self.series_calls,
            ),
            Figure(
                "… lake and warehouse as after one, no leftovers",
                "equal",
                "equal" if not self.unequal + self.left else f"{len(self.unequal + self.left)} differences",
                not self.unequal + self.left,
            ),
        ]


def rehearse_soak(stage: Stage, *, is_short: bool = False) -> Soak:
    """Three overlapping backfills at once: some minutes at 3/s, or a small one at a higher rate."""
    scene, ranges, rate = (SHORT_SCENE, SHORT_RANGES, 20.0) if is_short else (SCENE, RANGES, 3.0)
    clean = stage.clean(scene)
    # The limit of the server is far above, so that a breach is counted instead of being answered with 429 and mended.
    with SimulatorServer(scene.world(), requests_per_second=FAST) as server:
        account = stage.account(server, "soak", requests_per_second=rate)
        runs = [account.start("backfill", first.isoformat(), last.isoformat()) for first, last in ranges]
        statuses = [run.wait() for run in runs]
        calls = server.calls
    arrivals = [call.arrived for call in calls]
    soak = Soak(
        seconds=max(arrivals) - min(arrivals),
        calls=len(calls),
        breaches=breaches(calls, rate),
        refused=sum(call.status == 429 for call in calls),
        requests_per_second=rate,
        asked_twice=repeated(calls) + days_asked_twice(scene.world(), calls),
        clean_series_calls=clean.series_calls,
        series_calls=len(series(calls)),
        noted=data_calls_in_ledger(account.data_dir, SERIES_ENDPOINTS),
    )
    soak.failed = [f"exit {status}: {run.said}" for status, run in zip(statuses, runs, strict=True) if status != 0]
    outcome = outcome_of(account.data_dir, scene.last_day)
    soak.unequal = differences(*(without_confirmations(of.lake, CONFIRMED_AT_EDGES) for of in (clean.outcome, outcome)))
    soak.unequal += differences(
        *(without_confirmations(of.warehouse, CONFIRMED_AT_EDGES) for of in (clean.outcome, outcome))
    )
    soak.left = leftovers(account.data_dir, account.temporary, outcome, clean.outcome)
    stage.tell(f"{soak.calls} calls in {soak.seconds:.0f} s")
    return soak


def days_asked_twice(world: World, calls: list[Call]) -> int:
    """How many whole local days of validated series were asked for again.

    Readings are left out: each of their windows begins a day early on purpose. So are stretches inside a day.
    """
    asked: Counter[tuple[object, ...]] = Counter()
    for call in series(calls):
        if call.endpoint in {"meter_data", "site_data"} and call.t_s and call.t_e and call.site_id:
            zone = world.site(call.site_id).zone
            # Windows reach one period further, for whichever edge the API leaves out.
            kinds = {call.subject, *(m.type for m in world.site(call.site_id).meters if m.id == call.subject)}
            # And they begin early, so that nothing wanted is near their start.
            early = timedelta(minutes=90) if kinds & {"electricity", "charge_point"} else timedelta(days=1)
            day, end = (call.t_s + early).astimezone(zone).date(), (call.t_e - 2 * QUARTER).astimezone(zone).date()
            while day <= end:
                asked[call.site_id, call.subject, call.endpoint, day] += 1
                day += timedelta(days=1)
    return sum(count - 1 for count in asked.values())
