"""How many of the allowed calls the real client makes, alone and beside others, by the server's clock."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date

from stage import Figure, Scene, Stage, breaches, late, series, share_of_slots

from climkit_pipeline.simulator import Call, SimulatorServer, World

MONTH = date(2026, 9, 1), date(2026, 9, 30)
"""One month is one run: no commit lies between its calls."""
SCENE = Scene(1, 42, *MONTH)
"""A little over 90 calls for data."""
CROWD, SHORT_CROWD = Scene(4, 25, *MONTH), Scene(2, 6, *MONTH)
"""A site for each process, of which only the validated series of the meters are asked for: 100 calls, and 12."""
LATENCIES = ((0.1, 1, 0.93), (3.0, 5, 0.90))
"""Seconds until an answer at 1/s, calls in flight, and the least share of the slots."""


@dataclass(frozen=True)
class Alone:
    """One process, one month."""

    name: str
    calls: int
    share: float
    least_share: float


@dataclass
class Slots:
    """What the server counted."""

    requests_per_second: float
    is_short: bool
    alone: list[Alone] = field(default_factory=list)
    crowd: list[int] = field(default_factory=list)
    """Calls by process while all of them called."""
    crowd_share: float = 0.0
    breaches: int = 0
    problems: list[str] = field(default_factory=list)
    """What is not as it should be, for a person."""

    @property
    def figures(self) -> list[Figure]:
        """The lines of the table."""
        rate = f"{self.requests_per_second:g}/s"
        lines = [
            Figure(
                f"share of the slots at {rate}, {one.name}",
                f"≥ {one.least_share:.0%}",
                f"{one.share:.1%} from the first to the last of {one.calls} calls",
                one.share >= one.least_share,
            )
            for one in self.alone
        ]
        if not self.is_short:
            least, most = min(self.crowd), max(self.crowd)
            lines.append(
                Figure(
                    f"{len(self.crowd)} processes at once at {rate}: calls of each while all called",
                    "equal, to 10 %",
                    f"{least} to {most}, together {self.crowd_share:.1%} of the slots",
                    least > 0 and most - least <= max(1, most // 10),
                )
            )
        return [
            *lines,
            Figure(f"… sliding windows above {rate} in all these runs", "0", str(self.breaches), self.breaches == 0),
            Figure("… exit status 0", "all", "all" if not self.problems else "not all", not self.problems),
        ]


def rehearse_slots(stage: Stage, *, is_short: bool = False) -> Slots:
    """Measure at 1/s, 90 calls alone and 100 in a crowd; in short a crowd at 2/s, whose shares would be noise."""
    slots = Slots(2.0 if is_short else 1.0, is_short)
    if not is_short:
        for seconds, in_flight, least_share in LATENCIES:
            _measure_alone(stage, slots, seconds, in_flight, least_share)
    _measure_crowd(stage, slots, SHORT_CROWD if is_short else CROWD)
    return slots


def _measure_alone(stage: Stage, slots: Slots, seconds: float, in_flight: int, least_share: float) -> None:
    name = f"answers after {seconds:g} s, {in_flight} in flight"
    calls = _backfill(stage, slots, SCENE, SCENE.world(), seconds, ["--no-models"], MAX_IN_FLIGHT=str(in_flight))
    share = share_of_slots(series(calls), slots.requests_per_second)
    slots.alone.append(Alone(name, len(series(calls)), share, least_share))
    stage.tell(f"{name}: {share:.1%}")


def _measure_crowd(stage: Stage, slots: Slots, scene: Scene) -> None:
    world = scene.world()
    only = ["--no-models", "--dataset", "meter_intervals"]
    runs = [["--site", site.site_id, *only] for site in world.sites]
    calls = series(_backfill(stage, slots, scene, world, LATENCIES[0][0] / slots.requests_per_second, *runs))
    arrivals = {site.site_id: [call.arrived for call in calls if call.site_id == site.site_id] for site in world.sites}
    begun, ended = max(map(min, arrivals.values())), min(map(max, arrivals.values()))
    slots.crowd = [sum(begun <= at <= ended for at in own) for own in arrivals.values()]
    together = [call for call in calls if begun <= call.arrived <= ended]
    slots.crowd_share = share_of_slots(together, slots.requests_per_second) if len(together) > 1 else 0.0


def _backfill(
    stage: Stage, slots: Slots, scene: Scene, world: World, latency: float, *runs: list[str], **settings: str
) -> list[Call]:
    """One process per item of ``runs``, at once, in one data directory; the calls that the server counted."""
    rate = slots.requests_per_second
    for site in world.sites:
        # Worked out before: only the simulator's first answer about a site takes seconds.
        world.month_truth(site.site_id, site.meters[0].id, scene.first_day)
    # The server takes any rate, so that a breach is counted instead of being answered with 429 and mended.
    with SimulatorServer(world, requests_per_second=None, interceptor=late(latency)) as server:
        account = stage.account(server, "slots", requests_per_second=rate, **settings)
        started = [account.start("backfill", *scene.range, *arguments) for arguments in runs]
        slots.problems += [f"exit {run.wait()}: {run.said}" for run in started if run.wait() != 0]
        calls = server.calls
    slots.breaches += breaches(calls, rate)
    return calls
