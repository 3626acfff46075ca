"""Which faults in the data are noticed: a simulated year with every kind of fault, billed, and judged by the labels.

    python tests/rehearsals/data_fault_table.py [--sites N] [--months N] [--output docs/data_faults.md]

A world with faults is fetched by the real client on a clock of its own (50 days after the last month, so that time is
no reason against any month), and followed through the SQL models by ``climkit refresh``. Then each fault is *caught*
if all the checks that should notice it were raised on its meter, else *missed*; what is raised on that meter and is
neither required nor a known consequence of the fault is *beyond*; a check raised on a meter and month without any fault
is a *false alarm*. A month that is called ready although its quantity is not what
the meter truly counted is the worst that can happen, and is counted apart.

What should notice which kind stands in one place: ``EXPECTED``.
"""

from __future__ import annotations

import argparse
import logging
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import duckdb

from climkit_pipeline.api.client import ClimkitClient
from climkit_pipeline.api.pacer import Pacer
from climkit_pipeline.domain.meters import HEATING
from climkit_pipeline.domain.periods import local_midnight_utc, next_month
from climkit_pipeline.ingest.ingestion import Ingestion
from climkit_pipeline.ingest.reports import IngestRequest
from climkit_pipeline.lake.schemas import METER_INDICES
from climkit_pipeline.settings import load_settings
from climkit_pipeline.simulator import (
    DataFault,
    Fault,
    Label,
    MonthTruth,
    Request,
    SimulatorServer,
    World,
    parse_data_faults,
)
from climkit_pipeline.simulator.data_faults import KINDS
from climkit_pipeline.simulator.profiles import dice
from climkit_pipeline.simulator.world import Meter, Site


@dataclass(frozen=True)
class Expected:
    """What a kind of fault has to raise on its own meter, and what may follow from it there."""

    required: frozenset[str]
    """All of them; none: nothing to notice."""
    by_consequence: Mapping[str, str]
    """Check -> why it may be raised, too. Whatever else is raised is beyond what should be."""

    @property
    def all(self) -> frozenset[str]:
        return self.required | self.by_consequence.keys()


REGISTER_WENT_ON = "the register counted on, and the intervals state something else"
UNCONFIRMED = "a load that is truly steady is confirmed by no register on a day on which the index does not agree"
SHARED = "the provider's split of the site is no longer that of these values"
ANOTHER_HOUSE = "the other of its two sites has its own split, and names its own flats"
NOT_DATED = "the days without the meter are due until it is dated"

EXPECTED: dict[str, Expected] = {
    kind: Expected(frozenset(required.split()), by_consequence)
    for kind, (required, by_consequence) in {
        "gap": ("missing_intervals", {"index_difference": REGISTER_WENT_ON}),
        "outage": ("missing_intervals", {"index_difference": REGISTER_WENT_ON}),
        "missing_sibling": ("missing_intervals", {"index_difference": REGISTER_WENT_ON}),
        "no_data": ("no_data missing_intervals", {}),
        "duplicate": ("duplicate_rows", {}),
        "conflict": (
            "conflicting_rows",
            {
                "equal_autonomy": SHARED,
                "grid_without_import": SHARED,
                "index_difference": REGISTER_WENT_ON,
                "spike": "one kilowatt-hour more is much for a small meter",
            },
        ),
        "replaced_down": ("replaced", {}),
        # The closing and the opening index are of one instant: nothing is left to be dated, and the advance is known.
        "replaced_read": ("", {}),
        "replaced_up": ("replaced", {}),
        "swapped": ("swapped_registers", {}),
        "rollover": ("rollover", {}),
        "stuck": ("stuck", {"index_difference": REGISTER_WENT_ON}),
        "offline": (
            "index_difference zero_run", {"zero_run_unread": "with zeros before and after it may be more than a week"}
        ),
        "spike": ("index_difference spike", {"stuck": UNCONFIRMED}),
        "sentinel": ("index_difference sentinel", {}),
        "late_revision": ("index_difference", {"stuck": UNCONFIRMED}),
        "night_production": ("night_production night_production_unusual", {}),
        # Both series are wrong alike: only where it begins and ends is anything to be seen.
        "wrong_unit": ("unit_change", {}),
        # No fault either: a meter that is read by the hour for some days, and complete.
        "hourly": ("", {}),
        # No fault: what floats leave is rounded away, and solar and grid are the total.
        "noise": ("", {}),
        "lone_peak": ("lone_peak", {}),
        "glitch_at_midnight": ("index_glitch", {}),
        "register_zeros": ("index_glitch", {}),
        # At the site to which it does not belong, it has the solar share of another house, and perhaps another's name.
        "listed_twice": (
            "listed_twice",
            {"equal_autonomy": ANOTHER_HOUSE, "grid_without_import": ANOTHER_HOUSE, "same_name": ANOTHER_HOUSE},
        ),
        "null_split": ("without_split", {}),
        "vacant": ("", {}),
        "appears": ("starts_inside", {"missing_intervals": NOT_DATED}),
        "vanishes": ("ends_inside", {"missing_intervals": NOT_DATED}),
    }.items()
}  # fmt: skip
"""Kind of fault -> what it has to raise, all of it, on the meter that has it, and what may follow from it."""

EXPECTED_OF_SIBLINGS: dict[str, frozenset[str]] = {
    kind: frozenset(checks.split())
    for kind, checks in {
        "missing_sibling": "missing_sibling without_split missing_intervals",
        "offline": "unsound_sibling",
        "spike": "unsound_sibling",
        "sentinel": "unsound_sibling",
        "wrong_unit": "unsound_sibling",
        "late_revision": "unsound_sibling",
    }.items()
}
"""The same for meters that suffer with it: what they share is worked out of the wrong meter, too."""

MAY_BE_SMALL = frozenset({"stuck", "offline", "late_revision"})
"""Kinds that only move a quantity: where it moves by less than can be known, there is nothing to notice."""

ABOUT_OTHERS = frozenset({"missing_sibling", "unsound_sibling"})
"""What is raised because of another meter of the site, which has a fault of its own."""

WAITING = frozenset({"not_fetched", "running", "too_young", "pending", "failed", "not_confirmed"})
"""Reasons of time, which say nothing about data."""

FALSE_ALARMS_PER_THOUSAND = 1.0
"""At most so many of a thousand clean meter-months may raise anything."""

INDEX_TOLERANCE = Decimal("0.001")
INDEX_STEPS = 2
"""A quantity counts as true within a thousandth, or two steps of the register: less than any meter is certified for."""

LAST_MONTH = date(2026, 9, 1)
FETCHED_AT = datetime(2026, 11, 20, 9, tzinfo=UTC)
REVISED_AT = datetime(2026, 11, 25, 6, tzinfo=UTC)
FETCHED_AGAIN_AT = datetime(2026, 12, 1, 9, tzinfo=UTC)
VACANT_MONTHS = 3
CREDENTIALS = {"username": "demo", "password": "demo-simulator"}

MeterMonth = tuple[str, str, date]
"""Site, meter, first day of the month."""


# --- judging: no files, no network ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Found:
    """What the warehouse says of one meter and month."""

    grade: str
    billable: tuple[Decimal | None, Decimal | None]
    """Total and solar that may go on an invoice."""
    alarms: frozenset[str]
    """Names of checks that failed, and codes of reasons; not those of time."""

    @property
    def is_ready(self) -> bool:
        return self.grade in {"ready", "ready_with_estimates"}


@dataclass(frozen=True)
class Counted:
    """What the meter truly counted in one month, and how exactly that can be known."""

    total: Decimal
    solar: Decimal | None
    resolution: Decimal

    def differs_from(self, billable: tuple[Decimal | None, Decimal | None]) -> bool:
        tolerance = max(self.total * INDEX_TOLERANCE, self.resolution * INDEX_STEPS)
        return any(
            true is not None and billed is not None and abs(true - billed) > tolerance
            for true, billed in zip((self.total, self.solar), billable, strict=True)
        )


@dataclass
class KindResult:
    """One line of the table."""

    kind: str
    caught: int = 0
    missed: list[str] = field(default_factory=list)
    harmless: int = 0
    """Of the caught: nothing was raised, and the quantity is what the meter counted."""
    raised: Counter[str] = field(default_factory=Counter)
    beyond: Counter[str] = field(default_factory=Counter)
    """Of the raised: neither required nor a consequence."""
    wrongly_ready: list[str] = field(default_factory=list)
    siblings: int = 0
    siblings_missed: list[str] = field(default_factory=list)
    siblings_wrongly_ready: int = 0

    @property
    def faults(self) -> int:
        return self.caught + len(self.missed)


@dataclass
class Verdict:
    """Everything that the table shows."""

    kinds: dict[str, KindResult]
    clean: int = 0
    clean_grades: Counter[str] = field(default_factory=Counter)
    false_alarms: list[tuple[MeterMonth, frozenset[str]]] = field(default_factory=list)
    beside: int = 0
    """Meters without a fault, in a month in which another meter of the site has one."""
    beside_alarms: Counter[str] = field(default_factory=Counter)
    absent_grades: Counter[str] = field(default_factory=Counter)
    """Of rows for months in which the meter did not exist."""
    heat_at_rest: int = 0
    heat_at_rest_alarms: int = 0

    @property
    def false_alarms_per_thousand(self) -> float:
        return 1000 * len(self.false_alarms) / self.clean if self.clean else 0.0

    @property
    def missed(self) -> int:
        return sum(len(result.missed) + len(result.siblings_missed) for result in self.kinds.values())

    @property
    def wrongly_ready(self) -> int:
        return sum(len(result.wrongly_ready) + result.siblings_wrongly_ready for result in self.kinds.values())

    @property
    def beyond(self) -> int:
        return sum(result.beyond.total() for result in self.kinds.values())

    @property
    def is_good(self) -> bool:
        return not self.missed and not self.wrongly_ready and self.is_quiet

    @property
    def is_quiet(self) -> bool:
        return self.false_alarms_per_thousand <= FALSE_ALARMS_PER_THOUSAND


NOTHING = Found("", (None, None), frozenset())
"""A month without a row."""


def judge(
    labels: Iterable[Label],
    found: Mapping[MeterMonth, Found],
    truth: Mapping[MeterMonth, Counted],
    heat_at_rest: frozenset[MeterMonth] = frozenset(),
) -> Verdict:
    """Caught, missed and false alarms.

    A fault is caught in any of the months it concerns. A meter's month is clean if no label names its site's month. An
    empty flat is caught if nothing is raised. A month without a truth is one in which the meter did not exist.
    """
    verdict = Verdict({kind: KindResult(kind) for kind in KINDS})
    labelled: set[MeterMonth] = set()
    touched: set[tuple[str, date]] = set()
    for label in labels:
        result = verdict.kinds[label.kind]
        months = [(label.site_id, label.meter_id, month) for month in label.months]
        labelled.update(months)
        touched.update((label.site_id, month) for month in label.months if label.kind != "vacant")
        raised = frozenset().union(*(found.get(month, NOTHING).alarms for month in months))
        wrong = [
            f"{month:%Y-%m} of {meter}"
            for site, meter, month in months
            if (here := found.get((site, meter, month), NOTHING)).is_ready
            and (site, meter, month) in truth
            and truth[site, meter, month].differs_from(here.billable)
        ]
        is_right = not wrong and all(found.get(month, NOTHING).is_ready for month in months)
        if label.is_cause:
            result.raised.update(raised)
            expected = EXPECTED[label.kind]
            beyond = raised - expected.all - ABOUT_OTHERS
            result.beyond.update(beyond)
            # What has nothing to notice is caught if nothing is raised.
            is_noticed = expected.required <= raised and (bool(expected.required) or not beyond)
            is_harmless = not is_noticed and label.kind in MAY_BE_SMALL and is_right
            result.harmless += is_harmless
            if is_noticed or is_harmless:
                result.caught += 1
            else:
                result.missed.append(f"{label.meter_id} in {label.months[0]:%Y-%m}")
            result.wrongly_ready += wrong
        else:
            noticed_by = EXPECTED_OF_SIBLINGS.get(label.kind, frozenset())
            result.siblings += 1
            # A meter that stood still meanwhile lost nothing: its month may be ready.
            if noticed_by and not raised & noticed_by and not is_right:
                result.siblings_missed.append(f"{label.meter_id} in {label.months[0]:%Y-%m}")
            result.siblings_wrongly_ready += bool(wrong)
    for key, here in found.items():
        if key in labelled:
            continue
        if key not in truth:
            verdict.absent_grades[here.grade] += 1
            continue
        if (key[0], key[2]) in touched:
            verdict.beside += 1
            verdict.beside_alarms.update(here.alarms)
            continue
        verdict.clean += 1
        verdict.clean_grades[here.grade] += 1
        if here.alarms:
            verdict.false_alarms.append((key, here.alarms))
        if key in heat_at_rest:
            verdict.heat_at_rest += 1
            verdict.heat_at_rest_alarms += bool(here.alarms)
    return verdict


def as_markdown(verdict: Verdict, revised: KindResult, *, sites: int, months: int, command: str) -> str:
    """The table for the documentation."""
    alarms = Counter(alarm for _, raised in verdict.false_alarms for alarm in raised)
    lines = [
        "# Faults in the data: caught, missed, false alarms",
        "",
        f"Made by `{command}`: {sites} simulated sites over {months} months up to {LAST_MONTH:%Y-%m}, each kind of "
        "fault on meters and days of the seed's choice, fetched and modelled by the real pipeline. Do not edit.",
        "",
        "A fault is caught if all checks that are required of its kind were raised on its meter. Beyond is what was "
        "raised there and is neither required nor one of the known consequences, which stand below.",
        "",
        "| fault | what is served | faults | caught | missed | ready, but wrong | required | raised on its meter "
        "| beyond |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for result in verdict.kinds.values():
        required = ", ".join(f"`{code}`" for code in sorted(EXPECTED[result.kind].required)) or "nothing"
        raised, beyond = (
            ", ".join(f"`{code}` {count}" for code, count in sorted(counts.items())) or "nothing"
            for counts in (result.raised, result.beyond)
        )
        lines.append(
            f"| `{result.kind}` | {KINDS[result.kind].sentence} | {result.faults} | {result.caught} "
            f"| {len(result.missed)} | {len(result.wrongly_ready)} | {required} | {raised} | {beyond} |"
        )
    lines += [
        f"| `late_revision`, fetched again | the revised values | {revised.faults} | {revised.caught} "
        f"| {len(revised.missed)} | {len(revised.wrongly_ready)} | nothing | nothing is wrong any more | nothing |",
        "",
        ", ".join(f"`{kind}`" for kind, expected in EXPECTED.items() if not expected.required)
        + " are caught if they raise nothing"
        + "".join(
            f"; {result.harmless} of `{result.kind}` moved the quantity by less than can be known"
            for result in verdict.kinds.values()
            if result.harmless
        )
        + ".",
        "",
        "What may follow from a fault on its own meter, beside what is required; in any month also "
        + " and ".join(f"`{code}`" for code in sorted(ABOUT_OTHERS))
        + ", for a fault of another meter:",
        "",
        "| fault | may raise | because |",
        "|---|---|---|",
        *(
            f"| `{kind}` | `{code}` | {why} |"
            for kind, expected in EXPECTED.items()
            for code, why in expected.by_consequence.items()
        ),
        "",
        "Meters that suffer with another one, by the provider's split or sums:",
        "",
        "| fault of the other meter | meter-months | missed | ready, but wrong |",
        "|---|---|---|---|",
        *(
            f"| `{result.kind}` | {result.siblings} | {len(result.siblings_missed)} | {result.siblings_wrongly_ready} |"
            for result in verdict.kinds.values()
            if result.siblings
        ),
        "",
        f"- Clean meter-months: {verdict.clean:,}; graded "
        + ", ".join(f"`{grade}` {count:,}" for grade, count in verdict.clean_grades.most_common())
        + ".",
        f"- False alarms: {len(verdict.false_alarms):,}, that is {verdict.false_alarms_per_thousand:.2f} per thousand "
        f"(at most {FALSE_ALARMS_PER_THOUSAND:g})"
        + "".join(f", `{alarm}` {count:,}" for alarm, count in alarms.most_common())
        + ".",
        f"- Other meters of a site in a month with a fault: {verdict.beside:,} meter-months, "
        f"{verdict.beside_alarms.total():,} alarms"
        + "".join(f", `{alarm}` {count:,}" for alarm, count in verdict.beside_alarms.most_common())
        + ".",
        f"- Rows for months in which the meter did not exist: {verdict.absent_grades.total():,}"
        + "".join(f", `{grade}` {count:,}" for grade, count in verdict.absent_grades.most_common())
        + ".",
        f"- Heat meters from June to August: {verdict.heat_at_rest:,} meter-months, "
        f"{verdict.heat_at_rest_alarms:,} alarms.",
    ]
    return "\n".join(lines) + "\n\n" + AT_BOUNDS


AT_BOUNDS = """\
## Where raw readings are asked for around the bounds of months alone

That is done for older months where the API takes only windows of less than four weeks (`CLIMKIT_RAW_DATA`), and
measured with `python tests/rehearsals/data_fault_table.py --sites 4 --months 3 --repeats 1 --raw-at-bounds` on
2026-11-28: one fault of each kind, **0 months ready but wrong**, 4 faults missed. The same with all readings: 0 and 0.
What registers no longer tell:

- `glitch_at_midnight`, `register_zeros`: the readings concerned are not asked for, so nothing is left out, and nothing
  is said.
- `replaced_up` shows as `index_difference` instead of `replaced`: it still blocks, but nobody is told what kind it is.
- `replaced_read`, an exchange that is read on both devices, needs a date (`replaced`, `unmeasured`), as `replaced_down`
  does; with all readings it needs none.
"""
"""What a run with ``--raw-at-bounds`` showed; not measured anew by the command that writes the table."""


# --- the world ------------------------------------------------------------------------------------------------------


def months_until(last: date, count: int) -> list[date]:
    """The first days of ``count`` months, the last one being that of ``last``."""
    months = [last.replace(day=1)]
    while len(months) < count:
        months.insert(0, (months[0] - timedelta(days=1)).replace(day=1))
    return months


def faults_for(
    world: World, months: Sequence[date], repeats: int, kinds: Sequence[str] = tuple(KINDS)
) -> list[DataFault]:
    """Every kind ``repeats`` times as far as there are meters for it, each on a meter of its own; the scarce first.

    As long as there are sites and months enough, no two share a site's month: whatever is raised there has one cause.
    Meters vanish from one site only, which has to be fetched before and after.
    """
    meters = [(site, meter) for site in world.sites for meter in site.meters]
    taken: set[str] = set()
    used: set[tuple[str, date]] = set()
    faults: list[DataFault] = []

    def of_place(kind: str, site: Site, _: Meter, month: date) -> set[tuple[str, date]]:
        concerned = [site, world.sites[(site.position + 1) % len(world.sites)]] if kind == "listed_twice" else [site]
        return {(each.site_id, month) for each in concerned}

    for kind in sorted(
        kinds, key=lambda kind: (kind != "listed_twice", sum(KINDS[kind].fits(meter) for _, meter in meters))
    ):
        for number in range(repeats):
            free = [
                (site, meter)
                for site, meter in meters
                if KINDS[kind].fits(meter) and meter.id not in taken and (kind != "vanishes" or site.position == 0)
            ]
            if not free:
                break
            drawn = dice(world.seed, "rehearsal", kind, number)
            # What stops being served somewhere would be a fault of its own in the months after it.
            possible = months[-1:] if kind == "listed_twice" else months
            places = [(site, meter, month) for site, meter in free for month in possible]
            quiet = [place for place in places if not used & of_place(kind, *place)]
            site, meter, month = drawn.choice(quiet or places)
            taken.add(meter.id)
            used |= of_place(kind, site, meter, month)
            (fault,) = parse_data_faults(
                f"{kind}@{site.site_id}/{meter.id}/{month:%Y-%m}", world.sites, seed=number, month=month
            )
            if kind == "vacant":
                since = months[max(0, months.index(month) - VACANT_MONTHS + 1)]
                fault = replace(fault, first_day=since)
            faults.append(replace(fault, revised_at=REVISED_AT if kind == "late_revision" else None))
    return faults


@dataclass
class Pipeline:
    """The real client, ingestion and models on one data directory, at times of our choice."""

    server: SimulatorServer
    folder: Path
    clock: list[datetime]
    raw_at_bounds: bool = False
    """Whether raw readings are asked for around the bounds of months alone."""

    def ingest(self, at: datetime, first: date, last: date, site_ids: Sequence[str] = (), *, again: bool) -> None:
        """Fetch local days, as if it were ``at``. Raises RuntimeError if anything failed."""
        self.clock[0] = at
        settings = load_settings(
            base_url=self.server.base_url, data_dir=self.folder / "data", state_dir=self.folder / "state",
            requests_per_second=1000, **CREDENTIALS,
        )  # fmt: skip
        client = ClimkitClient(
            base_url=settings.base_url, **CREDENTIALS, pacer=Pacer(settings.state_dir / "pacer", 1000), now=self.now
        )
        try:
            ingestion = Ingestion(settings=settings, client=client, now=self.now)
            whole = IngestRequest(first, last, site_ids=tuple(site_ids) or None, refetch=again)
            parts = [whole]
            if self.raw_at_bounds:
                raw = METER_INDICES.name
                others = tuple(name for name in whole.datasets if name != raw)
                parts = [replace(whole, datasets=others), replace(whole, datasets=(raw,), is_raw_sparing=True)]
            failures = [failure for part in parts for failure in ingestion.run(part).failures]
        finally:
            client.close()
        if failures:
            raise RuntimeError(f"the ingestion failed: {failures[0]}")

    def now(self) -> datetime:
        """The time, a millisecond later at every look, so that no two answers tie."""
        self.clock[0] += timedelta(milliseconds=1)
        return self.clock[0]

    def refresh(self) -> None:
        """Models and publishing, by the command. Raises RuntimeError with its last words if it fails."""
        kept = {name: os.environ[name] for name in ("LANG", "PYTHONPATH", "PATH") if name in os.environ}
        done = subprocess.run(
            [str(Path(sys.executable).with_name("climkit")), "refresh"],
            env={**kept, "HOME": str(self.folder), "CLIMKIT_DATA_DIR": str(self.folder / "data")},
            cwd=self.folder, capture_output=True, text=True, check=False, timeout=1800,
        )  # fmt: skip
        if done.returncode != 0:
            raise RuntimeError(f"the models failed: {done.stderr[-1000:]}")

    def found(self) -> dict[MeterMonth, Found]:
        """What the warehouse says, by meter and month: grades, reasons and failed checks."""
        with duckdb.connect(str(self.folder / "data" / "warehouse.duckdb"), read_only=True) as connection:
            rows = connection.execute(
                "select site_id, meter_id, billing_month, grade, billable_total, billable_solar, reasons "
                "from billing_monthly"
            ).fetchall()
            checks = connection.execute(
                "select site_id, meter_id, billing_month, check_name from data_quality_monthly "
                "where not passed and meter_id is not null"
            ).fetchall()
        failed: dict[MeterMonth, set[str]] = defaultdict(set)
        for site_id, meter_id, month, name in checks:
            failed[site_id, meter_id, month].add(name)
        return {
            (site_id, meter_id, month): Found(
                grade=grade,
                billable=(total, solar),
                alarms=frozenset({reason.partition(":")[0] for reason in reasons} | failed[site_id, meter_id, month])
                - WAITING,
            )
            for site_id, meter_id, month, grade, total, solar, reasons in rows
        }


def truths(world: World, months: Sequence[date], faults: Sequence[DataFault]) -> dict[MeterMonth, Counted]:
    """What every meter truly counted in every month in which it existed."""
    appears, vanishes = (
        {fault.meter: fault.first_day for fault in faults if fault.kind == kind} for kind in ("appears", "vanishes")
    )
    known: dict[MeterMonth, Counted] = {}
    for site in world.sites:
        for meter in site.meters:
            since, until = appears.get(meter.id, date.min), vanishes.get(meter.id, date.max)
            for month in months:
                if not (since < next_month(month) and month < until):
                    continue
                truth: MonthTruth = world.month_truth(site.site_id, meter.id, month)
                known[site.site_id, meter.id, month] = Counted(truth.total, truth.solar, meter.resolution)
    return known


def resting_heat(world: World, months: Sequence[date]) -> frozenset[MeterMonth]:
    """Heat meters in summer."""
    return frozenset(
        (site.site_id, meter.id, month)
        for site in world.sites
        for meter in site.meters
        for month in months
        if meter.type == HEATING and month.month in {6, 7, 8}
    )


def fetch_year(pipeline: Pipeline, world: World, months: Sequence[date], vanishing: Iterable[DataFault]) -> None:
    """All months, once time is no reason against any; what vanishes meanwhile is fetched before it does, too."""
    first, last = months[0], next_month(months[-1]) - timedelta(days=1)
    again = []
    for fault in sorted(vanishing, key=lambda fault: fault.first_day):
        site = world.site(str(fault.site))
        again.append(site.site_id)
        gone = local_midnight_utc(fault.first_day, site.zone)
        if fault.first_day > first:
            day_before = fault.first_day - timedelta(days=1)
            pipeline.ingest(gone - timedelta(minutes=5), first, day_before, [site.site_id], again=False)
    others = [site.site_id for site in world.sites if site.site_id not in again]
    if others:
        pipeline.ingest(FETCHED_AT, first, last, others, again=False)
    if again:
        pipeline.ingest(pipeline.clock[0] if others else FETCHED_AT, first, last, sorted(set(again)), again=True)


def rehearse(
    folder: Path,
    *,
    sites: int,
    meters: int,
    months: int,
    repeats: int,
    seed: int,
    kinds: Sequence[str],
    raw_at_bounds: bool = False,
) -> tuple[Verdict, KindResult]:
    """The verdict over a faulty world, and that over its late revisions once they were fetched again."""
    asked = months_until(LAST_MONTH, months)
    clock = [FETCHED_AT]
    # Sites come into being up to eight weeks after their world.
    options = {"seed": seed, "sites": sites, "meters": meters, "created": asked[0] - timedelta(days=62)}
    plain = World(**options, clock=lambda: clock[0])
    faults = faults_for(plain, asked, repeats, kinds)
    world = World(**options, clock=lambda: clock[0], data_faults=faults, cached_site_days=sites * (months + 3) * 31)
    refusing = refuse_long_raw if raw_at_bounds else None
    with SimulatorServer(world, requests_per_second=None, interceptor=refusing) as server:
        pipeline = Pipeline(server, folder, clock, raw_at_bounds)
        fetch_year(pipeline, world, asked, [fault for fault in faults if fault.kind == "vanishes"])
        pipeline.refresh()
        clock[0] = FETCHED_AT + timedelta(hours=1)
        labels, truth = world.labels(), truths(world, asked, faults)
        verdict = judge(labels, pipeline.found(), truth, resting_heat(world, asked))
        late = [fault for fault in faults if fault.kind == "late_revision"]
        for fault in late:
            at = max(FETCHED_AGAIN_AT, clock[0])
            pipeline.ingest(at, fault.first_day, fault.last_day or fault.first_day, [str(fault.site)], again=True)
        pipeline.refresh()
        after = judge_revised([label for label in labels if label.kind == "late_revision"], pipeline.found(), truth)
    return verdict, after


def refuse_long_raw(request: Request) -> Fault | None:
    """Status 400 to raw readings of more than a week: then the bounds of months are asked for alone."""
    if request.endpoint != "meter_data_raw" or request.t_s is None or request.t_e is None:
        return None
    return Fault("http_400") if request.t_e - request.t_s > timedelta(days=8, hours=1) else None


def judge_revised(
    labels: Iterable[Label], found: Mapping[MeterMonth, Found], truth: Mapping[MeterMonth, Counted]
) -> KindResult:
    """Late revisions once they were fetched: right if the month is what the meter counted, ready or not."""
    result = KindResult("late_revision")
    for label in labels:
        for key in ((label.site_id, label.meter_id, month) for month in label.months):
            here = found.get(key, NOTHING)
            is_wrong = here.is_ready and truth[key].differs_from(here.billable)
            if not label.is_cause:
                result.siblings += 1
                result.siblings_wrongly_ready += is_wrong
            elif is_wrong or here.alarms & EXPECTED["late_revision"].all:
                result.missed.append(f"{label.meter_id} in {key[2]:%Y-%m}")
                result.wrongly_ready += [result.missed[-1]] * is_wrong
            else:
                result.caught += 1
    return result


def main() -> int:
    """Run it, write the table, and say what is wrong; 0 if nothing is."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sites", type=int, default=10, help="enough for a thousand clean meter-months")
    parser.add_argument("--meters", type=int, default=15)
    parser.add_argument("--months", type=int, default=12)
    parser.add_argument("--repeats", type=int, default=2, help="faults of each kind")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--kinds", default=",".join(KINDS), help="with commas; default: all")
    parser.add_argument("--raw-at-bounds", action="store_true", help="raw readings around the bounds of months alone")
    parser.add_argument("--output", type=Path, help="default: stdout")
    options = parser.parse_args()
    # What is odd in answers was put there.
    logging.getLogger("climkit_pipeline").setLevel(logging.ERROR)
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="data-faults-") as folder:
        verdict, revised = rehearse(
            Path(folder),
            sites=options.sites,
            meters=options.meters,
            months=options.months,
            repeats=options.repeats,
            seed=options.seed,
            kinds=options.kinds.split(","),
            raw_at_bounds=options.raw_at_bounds,
        )
    table = as_markdown(
        verdict, revised, sites=options.sites, months=options.months, command="make rehearse-data-faults"
    )
    if options.output:
        options.output.write_text(table, encoding="utf-8")
    else:
        sys.stdout.write(table)
    for result in (*verdict.kinds.values(), revised):
        for missed in result.missed:
            sys.stderr.write(f"missed: {result.kind} on {missed}\n")
        for missed in result.siblings_missed:
            sys.stderr.write(f"missed beside it: {result.kind} on {missed}\n")
        if result.beyond:
            sys.stderr.write(f"beyond: {result.kind} raised {', '.join(sorted(result.beyond))}\n")
        for wrong in result.wrongly_ready:
            sys.stderr.write(f"ready, but wrong: {result.kind}, {wrong}\n")
    for (_, meter_id, month), alarms in verdict.false_alarms:
        sys.stderr.write(f"false alarm on {meter_id} in {month:%Y-%m}: {', '.join(sorted(alarms))}\n")
    sys.stderr.write(
        f"{verdict.missed} missed, {verdict.wrongly_ready} wrongly ready, {verdict.beyond} alarms beyond, "
        f"{len(verdict.false_alarms)} false alarms in {verdict.clean} clean meter-months; "
        f"{time.monotonic() - started:.0f} s\n"
    )
    return 0 if verdict.is_good and not revised.missed else 1


if __name__ == "__main__":
    sys.exit(main())
