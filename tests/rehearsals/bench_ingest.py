"""What the work around a call costs, beside a script written by hand: `make bench-ingest`, docs/benchmarks_ingest.md.

    python tests/rehearsals/bench_ingest.py [--meters 24] [--days 92] [--sites-of-month 60] [--output FILE]

Three processes get the same quarter-hours from one simulated API, in the same run: the script (``hand_script``), an
ingestion by itself, and ``climkit backfill`` with Dagster around it. Then the answers of a month of a large account,
which somebody left behind, are committed. Of the three the lowest of several figures counts; the ratios are what to
look at, because a busy machine slows all of them.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from climkit_pipeline.simulator import SimulatorServer, World

HERE = Path(__file__).resolve().parent
USERNAME, PASSWORD = "demo", "demo-simulator"
LAST_DAY = date(2026, 10, 31)
ROUNDS = 3
GOALS = {"ingestion": 1.2, "backfill": 2.5}
"""CPU against the script's."""
MOST_MEMORY_MB = 250
MOST_MONTH_CPU = 90.0
METERS_OF_A_SITE = 30


@dataclass(frozen=True)
class Cost:
    """What one process took, and the calls of series that it made."""

    cpu: float
    wall: float
    peak_mb: float
    calls: int = 0


@dataclass(frozen=True)
class Bench:
    """What was measured."""

    rows: int
    days: int
    meters: int
    costs: dict[str, Cost]
    month: Cost
    month_meters: int


def measured(command: Sequence[str], **environment: str) -> Cost:
    """The cost of a process, those that it started included."""
    started = time.monotonic()
    process = subprocess.Popen(command, env={**os.environ, **environment}, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command)
    return Cost(usage.ru_utime + usage.ru_stime, time.monotonic() - started, usage.ru_maxrss / 1024)


def bench(folder: Path, *, meters: int, days: int, month_sites: int, rounds: int = ROUNDS) -> Bench:
    """Everything, each in a process of its own."""
    first = LAST_DAY - timedelta(days=days - 1)
    now = datetime.combine(LAST_DAY, datetime.min.time(), UTC) + timedelta(days=20)
    world = World(seed=7, sites=1, meters=meters, created=first - timedelta(days=30), clock=lambda: now)
    costs: dict[str, Cost] = {}
    with SimulatorServer(world, requests_per_second=None, clock=lambda: datetime.now(UTC)) as server:
        # Worked out before: only the simulator's first answer takes seconds.
        site = world.sites[0]
        world.month_truth(site.site_id, site.meters[0].id, LAST_DAY.replace(day=1))
        for number in range(rounds):
            for name, command in _commands(server.base_url, first, folder / f"{number}").items():
                server.forget_calls()
                cost = measured(command, **_environment(server.base_url, folder / f"{number}" / name, first))
                calls = sum(call.endpoint == "meter_data" for call in server.calls)
                if name not in costs or cost.cpu < costs[name].cpu:
                    costs[name] = Cost(cost.cpu, cost.wall, cost.peak_mb, calls)
    landing = folder / "month"
    measured([sys.executable, str(HERE / "ingest_jobs.py"), "land", str(landing), str(month_sites)])
    month = measured([sys.executable, str(HERE / "ingest_jobs.py"), "commit", str(landing)])
    rows = int(json.loads((folder / "0" / "rows.json").read_text()))
    return Bench(rows, days, meters, costs, month, month_sites * METERS_OF_A_SITE)


def _commands(base_url: str, first: date, folder: Path) -> dict[str, list[str]]:
    days = [first.isoformat(), LAST_DAY.isoformat()]
    climkit = str(Path(sys.executable).with_name("climkit"))
    return {
        "script": [sys.executable, str(HERE / "hand_script.py"), base_url, USERNAME, PASSWORD, *days,
                   str(folder / "script")],
        "ingestion": [sys.executable, str(HERE / "ingest_jobs.py"), "ingest", *days, str(folder / "rows.json")],
        "backfill": [climkit, "backfill", *days, "--dataset", "meter_intervals", "--no-models"],
    }  # fmt: skip


def _environment(base_url: str, data_dir: Path, first: date) -> dict[str, str]:
    return {
        "CLIMKIT_BASE_URL": base_url,
        "CLIMKIT_USERNAME": USERNAME,
        "CLIMKIT_PASSWORD": PASSWORD,
        "CLIMKIT_DATA_DIR": str(data_dir),
        "CLIMKIT_START_DATE": first.isoformat(),
        "CLIMKIT_REQUESTS_PER_SECOND": "1000",
        "XDG_STATE_HOME": str(data_dir.parent / "state"),
    }


def page(found: Bench, today: date) -> str:
    """What was measured, as a page; a goal that was missed says so."""
    script = found.costs["script"]
    lines = [
        "# What the work around a call costs",
        "",
        f"{found.meters} meters over {found.days} days, {found.rows:,} rows, against the built-in simulator; the same",
        "quarter-hours by a script written by hand (`tests/rehearsals/hand_script.py`), by an ingestion alone, and by",
        "`climkit backfill --no-models`. CPU seconds of the whole process, its imports included.",
        f"Written by `make bench-ingest` alone; measured on {today} with {os.cpu_count()} cores.",
        "",
        "| | CPU | times the script | goal | memory | calls |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for name, cost in found.costs.items():
        goal = f"{GOALS[name]}, {MOST_MEMORY_MB} MB" if name in GOALS else ""
        is_met = not goal or (cost.cpu <= GOALS[name] * script.cpu and cost.peak_mb <= MOST_MEMORY_MB)
        times = f"{cost.cpu / script.cpu:.2f}" + ("" if is_met else " (missed)")
        lines.append(f"| {name} | {cost.cpu:.1f} s | {times} | {goal} | {cost.peak_mb:.0f} MB | {cost.calls} |")
    month = found.month
    missed = "" if month.cpu <= MOST_MONTH_CPU else " (missed)"
    lines += [
        "",
        f"A month of {found.month_meters:,} meters that a killed run left behind is committed with",
        f"{month.cpu:.1f} s of CPU{missed} (goal: {MOST_MONTH_CPU:.0f}) and {month.peak_mb:.0f} MB.",
    ]
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--meters", type=int, default=24)
    parser.add_argument("--days", type=int, default=92)
    parser.add_argument("--sites-of-month", type=int, default=60)
    parser.add_argument("--output", type=Path)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = bench(Path(folder), meters=chosen.meters, days=chosen.days, month_sites=chosen.sites_of_month)
    text = page(found, date.today())  # noqa: DTZ011 - the reader's own day
    if chosen.output:
        chosen.output.write_text(text)
    sys.stdout.write(text)


if __name__ == "__main__":
    main()
