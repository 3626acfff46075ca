"""How many calls an account takes, with each saving on and off: docs/calls.md.

    python tests/rehearsals/calls_table.py --output docs/calls.md

Counted by the pipeline's own planner on listings of simulated sites and an empty lake; a normal day of the smallest
account is fetched from the simulator, too, whose server counts.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
from collections import Counter
from dataclasses import asdict, dataclass, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from climkit_pipeline.api import answers
from climkit_pipeline.api.client import ClimkitClient
from climkit_pipeline.api.pacer import Pacer, spacing_seconds
from climkit_pipeline.cli.estimates import as_duration
from climkit_pipeline.defs.automation import look_back_from
from climkit_pipeline.domain.periods import ONE_DAY
from climkit_pipeline.ingest.comparisons import Proofs
from climkit_pipeline.ingest.ingestion import Ingestion
from climkit_pipeline.ingest.listings import SiteListing
from climkit_pipeline.ingest.planning import plan_calls
from climkit_pipeline.ingest.raw_policy import LONGEST_WINDOW, parts_of
from climkit_pipeline.ingest.reports import IngestRequest
from climkit_pipeline.ingest.site_groups import expected_calls, types_of
from climkit_pipeline.lake.layout import Layout
from climkit_pipeline.lake.schemas import DATASETS, METER_INDICES, METER_INTERVALS
from climkit_pipeline.settings import Settings, load_settings
from climkit_pipeline.simulator import SimulatorServer, World

ACCOUNTS = ((2, 12), (60, 30), (200, 30))
"""Sites, and meters of each."""
TODAY = date(2026, 11, 20)
SECOND = date(2026, 11, 3)
"""The morning two days after a month's end: the month before is asked for as a whole."""
HISTORY = date(2023, 11, 1), date(2026, 10, 31)
LATE_SHARE, LATE_MONTHS = 3, 12
"""One meter in so many is there for so many months only, in the rows that say so."""
PLAIN = Proofs(frozenset(), {}, frozenset())
CREDENTIALS = {"username": "demo", "password": "demo-simulator"}


PAGE = """\
# Calls, with each saving on and off

Made by `make calls`. Do not edit. Series calls and hours at one call a second, lists and log-ins apart, by the
pipeline's own planner on the simulator's sites, whose answers hold the columns of every meter. What the savings are:
[operations.md](operations.md).

- *History*: three years of whole months, of which nothing is known yet; the newest month proves each site.
- *A day*: the morning's look-back of 14 days, the mean of a week. *The second*: two days after a month's end, when the
  month before is asked for as a whole; it asks for raw readings in any case.
- *Months without data*: a third of the meters is there for the last year only; the last column is the history of such
  an account. Without that saving it takes as many calls as any other.
- *Audit*: whole months of every meter, once a week.

| sites x meters | savings | history | a day | the second | audit | history, a third of the meters late |
|---|---|---|---|---|---|---|
"""
COUNTED = """
A usual morning without raw readings of 2 x 12, counted by the simulator's server beside the planner:

| savings | planned | counted |
|---|---|---|
"""


@dataclass(frozen=True)
class Savings:
    """Which savings are on."""

    name: str
    site_answers: bool = False
    sparing_raw: bool = False
    whole_months: bool = False


VARIANTS = (
    Savings("none"),
    Savings("one call for a site", site_answers=True),
    Savings("sparing raw readings", sparing_raw=True),
    Savings("months without data", whole_months=True),
    Savings("all", site_answers=True, sparing_raw=True, whole_months=True),
)


class Account:
    """One site of an account, as the planner sees it; all its sites take as many calls."""

    def __init__(self, meters: int, folder: Path) -> None:
        self.layout = Layout(folder)
        site = World(seed=7, sites=1, meters=meters, created=date(2020, 1, 1)).sites[0]
        own = tuple(
            answers.Meter(meter.id, meter.type, meter.mode, meter.name, is_rule_meter=meter.is_rule_meter)
            for meter in site.meters
        )
        sensors = tuple(answers.Sensor(sensor.id, name=sensor.name) for sensor in site.sensors)
        told = answers.Site(site.site_id, name=site.name)
        self.listing = SiteListing(told, site.zone, site.zone, False, own, sensors, datetime.now(UTC), {})
        types = types_of(self.listing)
        proven = frozenset((site.site_id, meter_type, meter_id) for meter_id, meter_type in types.items())
        self.proofs = Proofs(proven, {}, frozenset())

    def calls(self, request: IngestRequest, proofs: Proofs, savings: Savings) -> int:
        """The series calls of a request, as far as ``proofs`` go."""
        longest = {METER_INDICES.name: LONGEST_WINDOW}
        plan = plan_calls(
            self.layout, request, [self.listing], lambda name: longest.get(name, 31), datetime(2026, 12, 1, tzinfo=UTC)
        )
        return expected_calls(plan, proofs, "auto" if savings.site_answers else "never").total()

    def history(self, savings: Savings) -> int:
        """Three years that nothing is known of: the newest month proves the site."""
        parts = parts_of(*HISTORY, tuple(DATASETS), TODAY, is_sparing=savings.sparing_raw)
        requests = [IngestRequest(**asdict(part)) for part in parts]
        proofs = self.proofs if savings.site_answers else PLAIN
        calls = sum(
            self.calls(request, proofs if number else PLAIN, savings) for number, request in enumerate(requests)
        )
        return calls + (self.months(savings) if savings.whole_months else 0)

    def empty_months(self, savings: Savings) -> int:
        """What a third of the meters saves in a history that they were not there for: windows before their first month.

        With one call for a site their windows are no calls of their own, as long as the others fill the site's.
        """
        late = len(self.listing.subjects(METER_INTERVALS.name)) // LATE_SHARE
        empty = 36 - LATE_MONTHS - 1
        validated = 0 if savings.site_answers else empty
        raw = 0 if savings.sparing_raw else empty
        return late * (validated + raw) if savings.whole_months else 0

    def months(self, savings: Savings) -> int:
        """One question for whole months of every meter."""
        types = Counter(types_of(self.listing).values())
        if not savings.site_answers:
            return types.total()
        return sum(1 for meters in types.values() if meters > 1) + sum(n for n in types.values() if n == 1)

    def morning(self, today: date, savings: Savings, settings: Settings, *, with_raw: bool) -> int:
        """A morning's look-back."""
        datasets = tuple(name for name in DATASETS if with_raw or name != METER_INDICES.name)
        request = IngestRequest(
            look_back_from(today, settings), today - ONE_DAY, datasets, refetch=True, is_urgent=True
        )
        return self.calls(request, self.proofs if savings.site_answers else PLAIN, savings)

    def usual_morning(self, savings: Savings, settings: Settings) -> float:
        """The mean over a week: raw readings come on one of seven mornings if they are spared."""
        whole, rest = (self.morning(TODAY, savings, settings, with_raw=raw) for raw in (True, False))
        return (whole + 6 * rest) / 7 if savings.sparing_raw else whole


def counted_morning(savings: Savings, folder: Path) -> int:
    """The series calls of a usual morning of the smallest account, counted by the simulator's server."""
    sites, meters = ACCOUNTS[0]
    clock = [datetime.combine(TODAY - ONE_DAY, datetime.min.time(), UTC) + timedelta(hours=6)]

    def now() -> datetime:
        clock[0] += timedelta(milliseconds=1)
        return clock[0]

    world = World(seed=7, sites=sites, meters=meters, created=date(2025, 1, 1), clock=now)
    with SimulatorServer(world, requests_per_second=None, wide_columns=True) as server:
        settings = load_settings(
            base_url=server.base_url, data_dir=folder / "data", state_dir=folder / "state", requests_per_second=1000,
            site_answers="auto" if savings.site_answers else "never", **CREDENTIALS,
        )  # fmt: skip
        client = ClimkitClient(
            base_url=settings.base_url, **CREDENTIALS, pacer=Pacer(settings.state_dir / "pacer", 1000), now=now
        )
        try:
            ingestion = Ingestion(settings=settings, client=client, now=now, dice=random.Random(7))  # noqa: S311 - a sample
            datasets = tuple(name for name in DATASETS if not savings.sparing_raw or name != METER_INDICES.name)
            first = TODAY - ONE_DAY * settings.lookback_days
            ingestion.run(IngestRequest(first - ONE_DAY, TODAY - ONE_DAY * 2, datasets))
            clock[0] += ONE_DAY
            server.forget_calls()
            ingestion.run(IngestRequest(first, TODAY - ONE_DAY, datasets, refetch=True, is_urgent=True))
        finally:
            client.close()
        return sum(call.t_s is not None for call in server.calls)


def table(folder: Path, *, is_counted: bool) -> str:
    """The page."""
    settings = load_settings(data_dir=folder, requests_per_second=1)
    lines = PAGE.splitlines()
    seconds = spacing_seconds(1)

    def cell(calls: float) -> str:
        return f"{calls:,.0f} ({as_duration(calls * seconds / 3600)})"

    for sites, meters in ACCOUNTS:
        account = Account(meters, folder / f"{meters}")
        for savings in VARIANTS:
            history = account.history(savings)
            figures = (
                history,
                account.usual_morning(savings, settings),
                account.morning(SECOND, savings, settings, with_raw=True),
                account.months(savings),
                history - account.empty_months(savings),
            )
            cells = " | ".join(cell(sites * figure) for figure in figures)
            lines.append(f"| {sites} x {meters} | {savings.name} | {cells} |")
    if is_counted:
        lines += COUNTED.splitlines()
        account = Account(ACCOUNTS[0][1], folder / "counted")
        for savings in (replace(VARIANTS[0], sparing_raw=True), VARIANTS[-1]):
            planned = account.morning(TODAY, savings, settings, with_raw=False)
            counted = counted_morning(savings, folder / f"run {savings.name}")
            name = "all" if savings.site_answers else "none but no raw readings"
            lines.append(f"| {name} | {ACCOUNTS[0][0] * planned} | {counted} |")
    return "\n".join(lines) + "\n"


def main() -> int:
    """Write the page."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path, help="default: stdout")
    parser.add_argument("--planned-only", action="store_true", help="without the day that the simulator counts")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="calls-") as folder:
        page = table(Path(folder), is_counted=not options.planned_only)
    if options.output:
        options.output.write_text(page, encoding="utf-8")
    else:
        sys.stdout.write(page)
    return 0


if __name__ == "__main__":
    sys.exit(main())
