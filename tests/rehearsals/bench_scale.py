"""What a large account costs: `make bench-scale SITES= METERS= DAYS=` writes docs/benchmarks.md.

    python tests/rehearsals/bench_scale.py [--sites 60] [--meters 30] [--days 1096] [--compare-days 365]
        [--folder FOLDER] [--stop-after write|sum|full] [--output docs/benchmarks.md]

Every site has a connection to the grid, a plant, one meter of water, and flats; its lake is written without an API, a
day at a time. Measured is, each in a process of its own: the bare sum per meter and month over the same files, a full
build, and daily refreshes as every morning's: a new day in every dataset, the days before it asked once more
(coverage), and one revised value among them. With `--compare-days` a second account, which begins that many days before
the first ends and shares its files, is refreshed by turns with it. Of each figure the lowest counts: what else the
machine does only adds.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import resource
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import TypeVar

import duckdb
from scale_lake import (
    CLOSE_AFTER_DAYS,
    CONFIRMED_DAYS_AFTER_MONTH,
    FIRST_NEW_DAY,
    LAKE_VERSION,
    LEAST_METERS,
    LOOKBACK_DAYS,
    ZONE,
    ScaleLake,
    Size,
    days_between,
    linked_lake,
    morning_after,
)

from climkit_pipeline.lake.layout import Layout
from climkit_pipeline.warehouse.lake_state import ModelSettings
from climkit_pipeline.warehouse.refresh import refresh

Result = TypeVar("Result")

GOAL = 1.2
"""A daily refresh of the whole account against one of the account that began later, in CPU seconds."""
SUMS = 3
"""How often the bare sum is taken."""
SETTINGS = ModelSettings(close_after_days=CLOSE_AFTER_DAYS, default_timezone=ZONE, pipeline_version="benchmark")


@dataclass(frozen=True)
class Usage:
    """What a piece of work took."""

    cpu: float
    """Seconds of its process and of those that it started."""
    wall: float
    peak_mb: float
    """The most memory that one of these processes held."""


def in_own_process(work: Callable[..., Result], *arguments: object) -> tuple[Result, Usage]:
    """What ``work`` gave, in a process that does nothing else, and what it took there."""
    with ProcessPoolExecutor(max_workers=1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(_measured, work, arguments).result()


def _measured(work: Callable[..., Result], arguments: tuple[object, ...]) -> tuple[Result, Usage]:
    cpu, began = _cpu_seconds(), time.monotonic()
    result = work(*arguments)
    kilobytes = max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return result, Usage(_cpu_seconds() - cpu, time.monotonic() - began, kilobytes / 1024)


def _cpu_seconds() -> float:
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in used)


def told(what: str, seconds: float | None = None, usage: Usage | None = None) -> None:
    """One line of progress."""
    took = "" if seconds is None else f": {seconds:.0f} s"
    if usage is not None:
        took = f": {usage.cpu:.1f} s CPU, {usage.wall:.1f} s, {usage.peak_mb:.0f} MB"
    sys.stderr.write(f"{what}{took}\n")
    sys.stderr.flush()


def ensure_lake(folder: Path, size: Size) -> Path:
    """The data directory with the lake of this size as it was first written; written if it is not there."""
    root = folder / str(size)
    note, known = root / "written.json", {**asdict(size), "version": LAKE_VERSION}
    if note.exists() and json.loads(note.read_text()) == known:
        told(f"{size}: the lake is there")
        return root
    shutil.rmtree(root, ignore_errors=True)
    _, usage = in_own_process(ScaleLake(Layout(root), size).write)
    note.write_text(json.dumps(known))
    told(f"{size}: lake written", usage=usage)
    return root


def bare_sums(root: Path) -> list[tuple[str, str, date, Decimal]]:
    """By site, meter and local month: what its current intervals add up to, straight from the files."""
    files = str(Layout(root).dataset("meter_intervals") / "day=*" / "data.parquet")
    with duckdb.connect() as connection:
        connection.execute("set enable_progress_bar = false")
        return connection.execute(
            """select site_id, meter_id, date_trunc('month', day)::date, sum(total::decimal(18, 6))::decimal(18, 6)
            from read_parquet(?, hive_partitioning = true, hive_types = {'day': date})
            where superseded_at_utc is null
            group by all order by all""",
            [files],
        ).fetchall()


@dataclass(frozen=True)
class Refreshed:
    """What a refresh did."""

    was_full: bool
    was_published: bool
    size_bytes: int
    """Of the published file."""
    copy_seconds: float


def build(root: Path, *, full: bool) -> Refreshed:
    """Follow the lake and publish."""
    report = refresh(Layout(root), SETTINGS, full=full)
    published = report.published
    return Refreshed(
        was_full=report.changes.full_refresh,
        was_published=published is not None,
        size_bytes=Layout(root).warehouse.stat().st_size,
        copy_seconds=0.0 if published is None else published.seconds,
    )


def build_all(root: Path) -> Refreshed:
    """Everything, from nothing."""
    return build(root, full=True)


def build_changes(root: Path) -> Refreshed:
    """What changed since the last refresh."""
    return build(root, full=False)


def grades_of(root: Path) -> Counter[str]:
    """How many meter-months of each grade there are among those that ended long enough ago to be closed."""
    with duckdb.connect(Layout(root).warehouse, read_only=True) as connection:
        rows = connection.execute(
            "select grade, count(*) from billing_monthly where period_end_utc <= ? group by grade",
            [morning_after(FIRST_NEW_DAY) - timedelta(days=CONFIRMED_DAYS_AFTER_MONTH + 1)],
        ).fetchall()
    return Counter(dict(rows))


def months_that_differ(root: Path) -> int:
    """How many totals of billing_monthly are not the bare sums; a month that one of both lacks counts as well."""
    with duckdb.connect(Layout(root).warehouse, read_only=True) as connection:
        billed = connection.execute("select site_id, meter_id, billing_month, total from billing_monthly").fetchall()
    return len(set(billed) ^ set(bare_sums(root)))


@dataclass
class Account:
    """One account, and what was measured of it."""

    lake: ScaleLake
    full: Usage | None = None
    daily: list[Usage] = field(default_factory=list)
    nothing: list[Usage] = field(default_factory=list)
    copies: list[float] = field(default_factory=list)
    """Seconds of publishing, which are part of the daily refreshes."""
    size_bytes: int = 0
    grades: Counter[str] = field(default_factory=Counter)

    @property
    def root(self) -> Path:
        """Its data directory."""
        return self.lake.layout.root

    @property
    def name(self) -> str:
        """By its days."""
        return f"{self.lake.size.days} days"

    def build_all(self) -> None:
        """The first build, measured, with its grades and sums."""
        refreshed, self.full = in_own_process(build_all, self.root)
        assert refreshed.was_full
        told(f"{self.name}: full build, {refreshed.size_bytes / 1e9:.2f} GB published", usage=self.full)
        self.grades = grades_of(self.root)
        told(f"{self.name}: past months by grade: {dict(self.grades)}")
        self.check_sums()

    def check_sums(self) -> None:
        """Raise AssertionError if a total of a month is not what its intervals add up to."""
        differing = months_that_differ(self.root)
        assert differing == 0, f"{differing} totals of billing_monthly are not the sums of their intervals"

    def refresh_a_day(self, day: date) -> None:
        """The change of a day, which is not measured, and the refresh after it."""
        self.lake.live_a_day(day)
        refreshed, usage = in_own_process(build_changes, self.root)
        assert refreshed.was_published
        assert not refreshed.was_full
        self.daily.append(usage)
        self.copies.append(refreshed.copy_seconds)
        self.size_bytes = refreshed.size_bytes
        told(f"{self.name}: refresh after {day}, copy {refreshed.copy_seconds:.1f} s", usage=usage)

    def refresh_nothing(self) -> None:
        """A refresh after which everything is as before."""
        refreshed, usage = in_own_process(build_changes, self.root)
        assert not refreshed.was_published
        self.nothing.append(usage)
        told(f"{self.name}: nothing changed", usage=usage)


@dataclass
class Measured:
    """All figures of a run."""

    size: Size
    lake_bytes: int
    sums: list[Usage]
    accounts: list[Account]
    """The whole one, and the one that began later if there is one."""

    @property
    def ratio(self) -> float | None:
        """CPU seconds of a daily refresh of the whole account, times those of the one that began later."""
        if len(self.accounts) < 2:
            return None
        whole, later = self.accounts
        return least(whole.daily, "cpu") / least(later.daily, "cpu")


def least(usages: Sequence[Usage], figure: str) -> float:
    """The lowest of one figure."""
    return min(getattr(usage, figure) for usage in usages)


def lake_bytes(root: Path) -> int:
    """What the files of the lake take."""
    return sum(path.stat().st_size for path in Layout(root).lake.rglob("*.parquet"))


def measure(
    folder: Path, size: Size, *, compare_days: int, refreshes: int, stop_after: str | None, sums: int = SUMS
) -> Measured:
    """Write what is not there, and measure it up to ``stop_after``."""
    written = ensure_lake(folder, size)
    measured = Measured(size, lake_bytes(written), [], [])
    if stop_after == "write":
        return measured
    for _ in range(sums):
        measured.sums.append(in_own_process(bare_sums, written)[1])
        told(f"{size.days} days: bare monthly sum", usage=measured.sums[-1])
    if stop_after == "sum":
        return measured
    for days in (size.days, compare_days) if 0 < compare_days < size.days else (size.days,):
        root = folder / f"{size}-last-{days}"
        measured.accounts.append(Account(linked_lake(written, root, Size(size.sites, size.meters, days))))
        measured.accounts[-1].build_all()
    if stop_after == "full":
        return measured
    for day in days_between(FIRST_NEW_DAY, FIRST_NEW_DAY + timedelta(days=refreshes - 1)):
        for account in measured.accounts:
            account.refresh_a_day(day)
            account.refresh_nothing()
    for account in measured.accounts:
        account.check_sums()
    return measured


def as_markdown(measured: Measured) -> str:
    """The whole page."""
    size, whole = measured.size, measured.accounts[0]
    quarter_hours = size.sites * size.meters * size.days * 96 / 1e6
    paragraphs = [
        "# What a large account costs",
        f"""An account of {size.sites} sites with {size.meters} meters each over {size.days} days:
{quarter_hours:.1f} million quarter-hours and as many readings of registers, {measured.lake_bytes / 1e9:.1f} GB of
Parquet. Everything is measured in a process of its own; of what is repeated the lowest figure counts, because what else
the machine does only adds. CPU is that of all cores together. Written by
`make bench-scale SITES={size.sites} METERS={size.meters} DAYS={size.days}` alone.""",
        f"Measured on {datetime.now(UTC):%Y-%m-%d} with {os.cpu_count()} cores.",
        "\n".join(_build_table(measured)),
        f"""The bare sum is one query over the same files: the total of every meter and month. Of the months that ended
more than {CONFIRMED_DAYS_AFTER_MONTH} days ago, {whole.grades["ready"]:,} of {whole.grades.total():,} are `ready`, and
every total of a month is the bare sum.""",
        "\n".join(_daily_table(measured)),
        f"""A daily refresh follows a new day in every dataset, the {LOOKBACK_DAYS} days before it asked again, and one
revised value. It is early in a month, so that these days lie in two months. Its CPU includes the copy that is
published.""",
    ]
    return "\n\n".join(paragraphs) + "\n"


def _build_table(measured: Measured) -> Iterator[str]:
    cpu, wall, peak = (least(measured.sums, figure) for figure in ("cpu", "wall", "peak_mb"))
    full = measured.accounts[0].full
    assert full is not None
    yield "|  | CPU | from begin to end | memory |"
    yield "| --- | --- | --- | --- |"
    yield f"| bare monthly sum | {cpu:.1f} s | {wall:.1f} s | {peak:,.0f} MB |"
    yield f"| full build | {full.cpu:,.1f} s | {full.wall:,.1f} s | {full.peak_mb:,.0f} MB |"
    yield f"| full build, times the sum | {full.cpu / cpu:.1f} | {full.wall / wall:.1f} | |"


def _daily_table(measured: Measured) -> Iterator[str]:
    accounts = list(reversed(measured.accounts))
    rows: list[tuple[str, list[float], str]] = [
        ("full build, CPU", [account.full.cpu for account in accounts if account.full], "{:,.1f} s"),
        (
            f"**a daily refresh, CPU** (goal: ratio at most {GOAL})",
            [least(account.daily, "cpu") for account in accounts],
            "{:.2f} s",
        ),
        ("from begin to end", [least(account.daily, "wall") for account in accounts], "{:.2f} s"),
        ("memory", [least(account.daily, "peak_mb") for account in accounts], "{:,.0f} MB"),
        ("the copy that is published", [min(account.copies) for account in accounts], "{:.2f} s"),
        ("the published file", [account.size_bytes / 1e6 for account in accounts], "{:,.0f} MB"),
        ("nothing changed, CPU", [least(account.nothing, "cpu") for account in accounts], "{:.2f} s"),
        ("nothing changed, from begin to end", [least(account.nothing, "wall") for account in accounts], "{:.2f} s"),
    ]
    has_ratio = len(accounts) > 1
    head = ["", *(account.name for account in accounts), *(["ratio"] if has_ratio else [])]
    yield _line(head)
    yield _line(["---"] * len(head))
    for name, figures, form in rows:
        ratio = [f"{figures[-1] / figures[0]:.2f}"] if has_ratio else []
        yield _line([name, *(form.format(figure) for figure in figures), *ratio])


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def main() -> int:
    """Run it and write the page; 1 if the goal is missed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sites", type=int, default=60)
    parser.add_argument("--meters", type=int, default=30, help=f"of each site, {LEAST_METERS} or more")
    parser.add_argument("--days", type=int, default=1096)
    parser.add_argument(
        "--compare-days", type=int, default=0, metavar="DAYS", help="also an account that began so many days ago"
    )
    parser.add_argument("--refreshes", type=int, default=5, help="daily refreshes of each account, by turns")
    parser.add_argument("--folder", type=Path, help="keep lakes and warehouses there; default: a temporary one")
    parser.add_argument("--stop-after", choices=["write", "sum", "full"])
    parser.add_argument("--output", type=Path, help="default: stdout")
    options = parser.parse_args()
    if options.meters < LEAST_METERS or options.days <= LOOKBACK_DAYS:
        parser.error(f"a site has {LEAST_METERS} meters or more, and more than {LOOKBACK_DAYS} days")
    folder = (options.folder or Path(tempfile.mkdtemp(prefix="bench-scale-"))).resolve()
    try:
        measured = measure(
            folder,
            Size(options.sites, options.meters, options.days),
            compare_days=options.compare_days,
            refreshes=options.refreshes,
            stop_after=options.stop_after,
        )
        if options.stop_after:
            return 0
        page = as_markdown(measured)
    finally:
        if not options.folder:
            shutil.rmtree(folder)
    if options.output:
        options.output.write_text(page, encoding="utf-8")
    else:
        sys.stdout.write(page)
    return 1 if measured.ratio is not None and measured.ratio > GOAL else 0


if __name__ == "__main__":
    sys.exit(main())
