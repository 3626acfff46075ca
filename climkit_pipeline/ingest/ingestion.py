"""One ingestion run: recover what landed before, list, plan, fetch, commit.

Here: the order of things and the locks. Every decision it takes is a function elsewhere: what is missing
(``planner``), what an answer holds (``intervals``, ``readings``, ``snapshots``), how it is kept (``commit``).

Locks: one per dataset and site, from planning to commit, so that no window is asked twice at once. A run never waits
while it holds one: it takes the sites that are free, finishes them, and only then waits for the rest.
"""

from __future__ import annotations

import hashlib
import logging
import uuid
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Protocol

from climkit_pipeline.api.calls import Call
from climkit_pipeline.api.client import Answer, ClimkitClient
from climkit_pipeline.domain.periods import ONE_DAY, Period, dates_between, local_day, local_days
from climkit_pipeline.errors import (
    ApiError,
    ApiUnavailableError,
    AuthenticationError,
    RejectedError,
)
from climkit_pipeline.files import LockBusyError, file_lock
from climkit_pipeline.ingest import intervals, readings
from climkit_pipeline.ingest.commit import (
    CommitReport,
    commit_folder,
    first_days_with_rows,
    known_minutes,
    parse_landed,
)
from climkit_pipeline.ingest.frames import ParsedAnswer
from climkit_pipeline.ingest.landing import Kind, Landed, LandingFolder, abandoned_folders, open_landing
from climkit_pipeline.ingest.listings import Listings, SiteListing, fetch_listings, list_site_ids
from climkit_pipeline.ingest.planner import Window, is_missing, plan_windows
from climkit_pipeline.lake import coverage as law
from climkit_pipeline.lake.account import account_identity, claim
from climkit_pipeline.lake.coverage import DayCoverage
from climkit_pipeline.lake.day_files import read_coverage_day
from climkit_pipeline.lake.layout import Layout
from climkit_pipeline.lake.schemas import (
    DATASETS,
    METER_INDICES,
    METER_INTERVALS,
    SENSOR_READINGS,
    SITE_INTERVALS,
    SNAPSHOTS,
    Dataset,
)
from climkit_pipeline.settings import Settings

logger = logging.getLogger(__name__)

ANSWERS_PER_COMMIT = 200
"""A commit touches every day of its answers' months: few and large commits, yet minutes of work, not hours."""
LISTING_MAX_AGE_SECONDS = 6 * 3600
FAILURES_BEFORE_A_SITE_IS_LEFT = 3
SITES_LEFT_BEFORE_A_RUN_STOPS = 3
"""In a row, with no answer in between: then it is the API that is gone, not a site."""
WINDOW_TOO_LONG_STATUSES = frozenset({400, 413})


class Progress(Protocol):
    """Who wants to know how far a run is."""

    def planned(self, calls: int) -> None:
        """So many more calls will be made."""

    def called(self, label: str, calls: int = 1) -> None:
        """So many calls are done."""


class Silent:
    """Progress that nobody watches."""

    def planned(self, calls: int) -> None:
        """Ignore."""

    def called(self, label: str, calls: int = 1) -> None:
        """Ignore."""


@dataclass(frozen=True, slots=True)
class IngestRequest:
    """What to bring up to date: the sites' own local days, both included."""

    first_day: date
    last_day: date
    datasets: tuple[str, ...] = tuple(DATASETS)
    site_ids: tuple[str, ...] | None = None
    refetch: bool = False

    @property
    def days(self) -> list[date]:
        """Every local day asked for."""
        return dates_between(self.first_day, self.last_day)

    @property
    def series(self) -> list[Dataset]:
        """The series asked for, meters first: they are what bills need."""
        return [dataset for dataset in _FETCH_ORDER if dataset.name in self.datasets]


_FETCH_ORDER = (METER_INTERVALS, METER_INDICES, SITE_INTERVALS, SENSOR_READINGS)


@dataclass(frozen=True, slots=True)
class Task:
    """One window of one subject, to be asked for."""

    dataset: Dataset
    listing: SiteListing = field(repr=False)
    subject_id: str
    window: Window
    is_half: bool = False
    """Of a window that was refused as too long: once answered, its size is known to work."""

    @property
    def site_id(self) -> str:
        """The site's id."""
        return self.listing.site_id

    @property
    def endpoint_key(self) -> str:
        """What a remembered bound of the API applies to."""
        return self.dataset.name

    @property
    def wanted_days(self) -> Window:
        """The days whose rows are kept: readings begin a day early, for the reading that opens the window."""
        if self.dataset.kind == "reading":
            early = self.window.first_day - ONE_DAY
            if not _is_before_creation(self.listing, early):
                return Window(early, self.window.last_day)
        return self.window

    @property
    def asked(self) -> Period:
        """What to send."""
        days = self.wanted_days
        wanted = local_days(days.first_day, days.last_day, self.listing.zone)
        return intervals.asked_period(wanted)

    def call(self, asked: Period) -> Call:
        """The call that asks for ``asked``."""
        if self.dataset.kind == "interval":
            return intervals.call_for(self.dataset, self.site_id, self.subject_id, asked)
        return readings.call_for(self.dataset, self.site_id, self.subject_id, asked)


@dataclass(frozen=True, slots=True)
class Failure:
    """A part that could not be brought up to date, for a person to read."""

    dataset: str
    site_id: str
    subject_id: str
    first_day: date
    last_day: date
    reason: str

    def __str__(self) -> str:
        about = self.site_id if self.subject_id == self.site_id else f"{self.site_id} {self.subject_id}"
        return f"{self.dataset} {about} {self.first_day}..{self.last_day}: {self.reason}"


@dataclass
class IngestReport:
    """What a run did and what is left."""

    request: IngestRequest
    calls: Counter[str] = field(default_factory=Counter)
    """Series calls by dataset (log-ins and listings apart)."""
    committed: CommitReport = field(default_factory=CommitReport)
    failures: list[Failure] = field(default_factory=list)
    states: dict[str, dict[date, Counter[str]]] = field(default_factory=dict)
    """Subjects by coverage state, per dataset and day, after the run."""

    def failed_days(self, dataset: str) -> set[date]:
        """The days of ``dataset`` that are not what was asked for."""
        failed = {day for day, states in self.states.get(dataset, {}).items() if states[law.FAILED]}
        for failure in self.failures:
            if failure.dataset == dataset:
                failed |= set(dates_between(failure.first_day, failure.last_day))
        return failed & set(self.request.days)

    @property
    def is_good(self) -> bool:
        """Whether every day of every dataset asked for is good."""
        return not any(self.failed_days(dataset) for dataset in self.request.datasets)


@dataclass(frozen=True, slots=True)
class Plan:
    """The series calls that a request needs now."""

    tasks: tuple[Task, ...]

    def calls_by_dataset_and_site(self) -> dict[tuple[str, str], int]:
        """How many calls per dataset and site."""
        return dict(Counter((task.dataset.name, task.site_id) for task in self.tasks))

    @property
    def days(self) -> int:
        """How many local days will be filled, whatever the dataset."""
        windows = {task.window for task in self.tasks}
        return len({day for window in windows for day in dates_between(window.first_day, window.last_day)})

    @property
    def subject_days(self) -> Counter[str]:
        """Days of single subjects that will be filled, per dataset."""
        days: Counter[str] = Counter()
        for task in self.tasks:
            days[task.dataset.name] += task.window.days
        return days


class _Trouble:
    """Which sites do not answer, so that one of them costs minutes and a dead API does not cost hours."""

    def __init__(self) -> None:
        self._failures: Counter[str] = Counter()
        self._silent: set[str] = set()

    def answered(self, site_id: str) -> None:
        self._failures.pop(site_id, None)
        self._silent.clear()

    def failed(self, site_id: str) -> None:
        self._failures[site_id] += 1
        if self.is_left(site_id):
            self._silent.add(site_id)

    def is_left(self, site_id: str) -> bool:
        return self._failures[site_id] >= FAILURES_BEFORE_A_SITE_IS_LEFT

    def is_everywhere(self) -> bool:
        return len(self._silent) >= SITES_LEFT_BEFORE_A_RUN_STOPS


class Ingestion:
    """Brings the lake of one data directory up to date; one object per process, for any number of requests."""

    def __init__(
        self,
        *,
        settings: Settings,
        client: ClimkitClient,
        progress: Progress | None = None,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.settings = settings
        self.layout = Layout(settings.data_dir)
        self.client = client
        self._progress = progress or Silent()
        self._now = now
        self._account: tuple[datetime, list[str]] | None = None
        self._listings: tuple[datetime, tuple[str, ...], Listings] | None = None
        self._longest: dict[str, int] = {}
        self._unavailable_until: dict[str, date] = {}

    # --- what the account is ------------------------------------------------------------------------------------

    def open_account(self) -> list[str]:
        """Log in, make the data directory this account's, and list the ids of the sites that the settings include.

        Asks once in six hours. Raises AuthenticationError, ApiUnavailableError, or ConfigurationError for a directory
        of another account.
        """
        if self._account is None or (self._now() - self._account[0]).total_seconds() >= LISTING_MAX_AGE_SECONDS:
            self.client.authenticate()
            seed = self.client.simulator_seed
            claim(self.layout, account_identity(self.client.base_url, self.client.username, seed))
            self._account = self._now(), list_site_ids(self.client)
        return [site_id for site_id in self._account[1] if self.settings.wants_site(site_id)]

    def listings(self, site_ids: Sequence[str]) -> Listings:
        """Sites, meters and sensors, asked for once in six hours."""
        wanted = tuple(site_ids)
        if self._listings is not None:
            listed_at, listed, listings = self._listings
            if listed == wanted and (self._now() - listed_at).total_seconds() < LISTING_MAX_AGE_SECONDS:
                return listings
        self._progress.planned(3 * len(wanted))
        listings = fetch_listings(
            self.client, list(wanted), self.settings.zone, lambda: self._progress.called("listing sites")
        )
        self._listings = (self._now(), wanted, listings)
        return listings

    # --- planning -----------------------------------------------------------------------------------------------

    def plan(self, request: IngestRequest, sites: Sequence[SiteListing]) -> Plan:
        """The calls that bring ``request`` up to date, meters first, site by site; reads coverage alone."""
        tasks: list[Task] = []
        for dataset in request.series:
            firsts = first_days_with_rows(self.layout, dataset)
            coverage = {day: law.from_frame(read_coverage_day(self.layout, dataset, day)) for day in request.days}
            for listing in sites:
                for subject_id in listing.subjects(dataset.name):
                    days = self._missing_days(request, listing, subject_id, coverage, firsts)
                    windows = plan_windows(days, self._window_days(dataset.name))
                    tasks += [Task(dataset, listing, subject_id, window) for window in windows]
        return Plan(tuple(tasks))

    def _missing_days(
        self,
        request: IngestRequest,
        listing: SiteListing,
        subject_id: str,
        coverage: dict[date, dict[tuple[str, str], DayCoverage]],
        firsts: dict[tuple[str, str], date],
    ) -> list[date]:
        key = (listing.site_id, subject_id)
        return [
            day
            for day in request.days
            if not _is_before_creation(listing, day)
            and local_day(day, listing.zone).start_utc < self._now()
            and (request.refetch or is_missing(coverage[day].get(key), day, firsts.get(key)))
        ]

    def _window_days(self, dataset: str) -> int:
        return min(self.settings.window_days, self._longest.get(dataset, self.settings.window_days))

    # --- running ------------------------------------------------------------------------------------------------

    def recover(self) -> CommitReport:
        """Commit what other processes received and did not live to commit."""
        report = CommitReport()
        # One at a time: whoever plans next must find in coverage what another is just committing.
        with file_lock(self.layout.lock("recover")), abandoned_folders(self.layout.landing) as folders:
            for folder in folders:
                report.add(commit_folder(self.layout, folder))
        return report

    def run(self, request: IngestRequest, run_id: str | None = None) -> IngestReport:
        """Bring ``request`` up to date and say what is good and what is not.

        Failures of single windows and sites are in the report; errors that stop everything are raised, with what was
        received until then on disk.
        """
        report = IngestReport(request)
        site_ids = self.open_account()
        report.committed.add(self.recover())
        if request.site_ids is not None:
            site_ids = [site_id for site_id in site_ids if site_id in request.site_ids]
        listings = self.listings(site_ids)
        with open_landing(self.layout.landing, run_id or uuid.uuid4().hex) as folder:
            self._land_listings(folder, request, listings, report)
            report.committed.add(commit_folder(self.layout, folder))
            waiting = list(listings.sites)
            while waiting:
                with self._free_sites(request, waiting) as free:
                    if free:
                        report.committed.add(self.recover())
                        self._fetch(folder, self.plan(request, free), report)
                        report.committed.add(commit_folder(self.layout, folder))
                if free:
                    waiting = [listing for listing in waiting if listing not in free]
                else:
                    self._wait_for(request, waiting[0])
        self._assess(request, site_ids, listings, report)
        return report

    @contextmanager
    def _free_sites(self, request: IngestRequest, sites: Sequence[SiteListing]) -> Iterator[list[SiteListing]]:
        """Those of ``sites`` that nobody else works on, locked until the end of the block."""
        with ExitStack() as held:
            free = []
            for listing in sites:
                with ExitStack() as own:
                    try:
                        for dataset in request.series:
                            own.enter_context(file_lock(self._site_lock(dataset, listing.site_id), blocking=False))
                    except LockBusyError:
                        continue
                    held.push(own.pop_all())
                    free.append(listing)
            yield free

    def _wait_for(self, request: IngestRequest, listing: SiteListing) -> None:
        logger.info("another run works on site %s; waiting for it", listing.site_id)
        for dataset in request.series:
            with file_lock(self._site_lock(dataset, listing.site_id)):
                pass

    def _site_lock(self, dataset: Dataset, site_id: str) -> Path:
        # A site's id is data and does not become part of a path.
        return self.layout.lock(f"ingest-{dataset.name}-{hashlib.sha256(site_id.encode()).hexdigest()[:16]}")

    # --- listings -----------------------------------------------------------------------------------------------

    def _land_listings(
        self, folder: LandingFolder, request: IngestRequest, listings: Listings, report: IngestReport
    ) -> None:
        for listing in listings.sites:
            today = listing.listed_at_utc.astimezone(listing.zone).date()
            past = [day for day in request.days if day < today and not _is_before_creation(listing, day)]
            for dataset in SNAPSHOTS:
                answer = listing.answers[dataset.name]
                entry = Landed(
                    dataset=dataset.name,
                    site_id=listing.site_id,
                    subject_id=listing.site_id,
                    timezone=listing.zone.key,
                    first_day=today,
                    last_day=today,
                    received_at_utc=answer.received_at_utc,
                    is_timezone_assumed=listing.is_timezone_assumed,
                    body=answer.body,
                )
                folder.add(entry)
                if past:
                    folder.add(replace(entry, first_day=past[0], last_day=past[-1]))
        for site_id, reason in listings.failures.items():
            for name in request.datasets:
                failure = Failure(name, site_id, site_id, request.first_day, request.last_day, reason)
                report.failures.append(failure)
                if DATASETS[name] in SNAPSHOTS:
                    folder.add(_failed_entry(failure, self.settings.timezone, self._now()))

    # --- fetching -----------------------------------------------------------------------------------------------

    def _fetch(self, folder: LandingFolder, plan: Plan, report: IngestReport) -> None:
        """Ask for every task, landing each answer; results are taken in the plan's order, whatever is in flight."""
        queue = deque(plan.tasks)
        self._progress.planned(len(queue))
        trouble = _Trouble()
        landed = 0
        in_flight: deque[tuple[Task, Future[Answer]]] = deque()
        with ThreadPoolExecutor(self.settings.max_in_flight, thread_name_prefix="climkit-call") as pool:
            try:
                while queue or in_flight:
                    while queue and len(in_flight) < self.settings.max_in_flight:
                        task = queue.popleft()
                        parts = self._fitting(task)
                        if len(parts) > 1:
                            queue.extendleft(reversed(parts))
                            self._progress.planned(len(parts) - 1)
                        elif (reason := self._why_not(task, trouble)) is not None:
                            self._give_up(folder, task, reason, report)
                        else:
                            in_flight.append((task, pool.submit(self.client.perform, task.call(task.asked))))
                    if in_flight:
                        task, future = in_flight.popleft()
                        report.calls[task.dataset.name] += 1
                        again = self._take(folder, task, future, trouble, report)
                        queue.extendleft(reversed(again))
                        self._progress.planned(len(again))
                        self._progress.called(f"{task.dataset.name} {task.window.first_day:%Y-%m}")
                        landed += 1
                        if landed % ANSWERS_PER_COMMIT == 0:
                            report.committed.add(commit_folder(self.layout, folder))
            finally:
                for _, future in in_flight:
                    future.cancel()

    def _fitting(self, task: Task) -> list[Task]:
        """The task cut to the size that is known to work at its endpoint."""
        longest = self._window_days(task.dataset.name)
        if task.window.days <= longest:
            return [task]
        days = dates_between(task.window.first_day, task.window.last_day)
        return [replace(task, window=window, is_half=False) for window in plan_windows(days, longest)]

    def _why_not(self, task: Task, trouble: _Trouble) -> str | None:
        """Why a task needs no call: its site does not answer, or the API does not go back that far."""
        if trouble.is_left(task.site_id):
            return "not asked: the site's calls before this one failed"
        until = self._unavailable_until.get(task.subject_id)
        if until is not None and task.window.last_day <= until:
            return NOT_AVAILABLE
        return None

    def _take(
        self, folder: LandingFolder, task: Task, future: Future[Answer], trouble: _Trouble, report: IngestReport
    ) -> list[Task]:
        """Land one result; returns what has to be asked in its place."""
        try:
            answer = future.result()
            entry = _landed(task, answer, task.asked, "plan")
            parsed, missing = self._missing_stretches(task, entry)
            folder.add(entry)
            trouble.answered(task.site_id)
            if task.is_half:
                self._remember_longest(task.dataset, task.window.days)
            for stretch in missing:
                uncut = self._ask_again(folder, task, stretch, parsed, report)
                if uncut is not None:
                    return [replace(task, window=uncut)]
        except AuthenticationError:
            raise
        except RejectedError as error:
            return self._after_rejection(folder, task, error, report)
        except ApiUnavailableError as error:
            trouble.failed(task.site_id)
            if task.window.days > 1 and not trouble.is_left(task.site_id):
                return [replace(task, window=half) for half in task.window.halves()]
            self._give_up(folder, task, str(error), report)
            if trouble.is_everywhere():
                raise
        except ApiError as error:
            self._give_up(folder, task, str(error), report)
        return []

    def _after_rejection(
        self, folder: LandingFolder, task: Task, error: RejectedError, report: IngestReport
    ) -> list[Task]:
        is_about_length = error.status in WINDOW_TOO_LONG_STATUSES
        if is_about_length and task.window.days > 1:
            older, newer = task.window.halves()
            if task.dataset is SENSOR_READINGS:
                # Here a refusal may mean "too long ago": the newer half tells where that begins.
                return [replace(task, window=newer), replace(task, window=older)]
            return [replace(task, window=half, is_half=True) for half in (older, newer)]
        if is_about_length and task.dataset is SENSOR_READINGS:
            self._unavailable_until[task.subject_id] = task.window.last_day
            self._give_up(folder, task, NOT_AVAILABLE, report)
        else:
            self._give_up(folder, task, str(error), report)
        return []

    def _remember_longest(self, dataset: Dataset, days: int) -> None:
        self._longest[dataset.name] = min(days, self._window_days(dataset.name))

    def _missing_stretches(self, task: Task, entry: Landed) -> tuple[ParsedAnswer, list[Period]]:
        """What an answer holds, and where it is shorter than what exists, apart from gaps that are known already."""
        steps = {}
        if task.dataset.kind == "interval" and entry.interval_minutes is None:
            steps = known_minutes(self.layout, task.dataset, [entry])
        # A shape that nobody knows must fail here, not in a commit.
        parsed = parse_landed(task.dataset, entry, steps.get((task.site_id, task.subject_id)))
        if task.dataset.kind != "interval":
            return parsed, []
        key = (task.site_id, task.subject_id)
        starts = parsed.rows["interval_start_utc"].to_list()
        # Before its first row a meter may not have existed; where older rows are known, it did.
        first_start = min(starts, default=None)
        opening = local_day(task.window.first_day, task.listing.zone)
        is_whole_from_start = first_start is not None and first_start in opening
        first_day = None if is_whole_from_start else first_days_with_rows(self.layout, task.dataset).get(key)
        by_day: dict[date, set[datetime]] = defaultdict(set)
        for day, start in parsed.rows.select("local_date", "interval_start_utc").iter_rows():
            by_day[day].add(start)
        missing: list[Period] = []
        for day in dates_between(task.window.first_day, task.window.last_day):
            bounds = local_day(day, task.listing.zone)
            assessment = law.assess_intervals(
                bounds,
                by_day[day],
                minutes=parsed.interval_minutes or intervals.QUARTER_HOUR_MINUTES,
                asked_at=entry.received_at_utc,
                exists_from=entry.exists_from_utc,
                is_known_before=(first_start is not None and first_start < bounds.start_utc)
                or (first_day is not None and first_day < day),
            )
            if assessment.gaps:
                known = law.from_frame(read_coverage_day(self.layout, task.dataset, day)).get(key)
                gaps = known.gaps if known else ()
                missing += [gap for gap in assessment.gaps if not any(_holds(outer, gap) for outer in gaps)]
        return parsed, list(law.stretches(missing))

    def _ask_again(
        self, folder: LandingFolder, task: Task, stretch: Period, short: ParsedAnswer, report: IngestReport
    ) -> Window | None:
        """Ask exactly a missing stretch once more: a short answer looks just like a gap.

        If that answer ends after the same span from its ``t_s`` as the short one did, this is a bound of the API: it
        is remembered, and the days still lacking are returned.
        """
        self._progress.planned(1)
        report.calls[task.dataset.name] += 1
        asked = intervals.asked_period(stretch)
        try:
            entry = _landed(task, self.client.perform(task.call(asked)), asked, "repeat")
            # A lone row cannot tell its step: that of the answer before holds.
            entry = replace(entry, interval_minutes=entry.interval_minutes or short.interval_minutes)
            repeated = parse_landed(task.dataset, entry)
        except AuthenticationError:
            raise
        except ApiError as error:
            logger.warning("asking again failed: %s", error)  # the gap stays recorded, so it is asked next time
        else:
            span = _span(repeated, asked)
            if span is not None and span >= ONE_DAY and span == _span(short, task.asked) and stretch.duration > span:
                uncut_until = asked.start_utc + span
                folder.add(replace(entry, kind="plan", asked_until_utc=uncut_until))
                self._progress.called("asking short answers again")
                self._remember_longest(task.dataset, span // ONE_DAY)
                return Window(uncut_until.astimezone(task.listing.zone).date(), task.window.last_day)
            folder.add(entry)
        self._progress.called("asking short answers again")
        return None

    def _give_up(self, folder: LandingFolder, task: Task, reason: str, report: IngestReport) -> None:
        days = task.window
        failure = Failure(task.dataset.name, task.site_id, task.subject_id, days.first_day, days.last_day, reason)
        entry = _failed_entry(failure, task.listing.zone.key, self._now())
        if reason == NOT_AVAILABLE:
            asked = task.asked
            entry = replace(
                entry, kind="plan", body=b"[]", asked_from_utc=asked.start_utc, asked_until_utc=asked.end_utc
            )
        else:
            report.failures.append(failure)
            logger.warning("failed: %s", failure)
        folder.add(entry)

    # --- the result ---------------------------------------------------------------------------------------------

    def _assess(
        self, request: IngestRequest, site_ids: Sequence[str], listings: Listings, report: IngestReport
    ) -> None:
        wanted = set(site_ids)
        for name in request.datasets:
            dataset = DATASETS[name]
            listed = {
                (listing.site_id, subject_id)
                for listing in listings.sites
                for subject_id in ([listing.site_id] if dataset in SNAPSHOTS else listing.subjects(name))
            }
            read_sites = {listing.site_id for listing in listings.sites}
            report.states[name] = {
                day: Counter(
                    row["state"]
                    for row in read_coverage_day(self.layout, DATASETS[name], day).iter_rows(named=True)
                    if row["site_id"] in wanted
                    # What is no longer listed cannot be asked for: its failure would stay for ever.
                    and not (
                        row["state"] == law.FAILED
                        and row["site_id"] in read_sites
                        and (row["site_id"], row["subject_id"]) not in listed
                    )
                )
                for day in request.days
            }


NOT_AVAILABLE = "not available: the API does not go back that far"


def _span(parsed: ParsedAnswer, asked: Period) -> timedelta | None:
    """How far an answer reaches from the start of what was asked."""
    last = parsed.rows["interval_end_utc"].max()
    return last - asked.start_utc if isinstance(last, datetime) else None


def _holds(outer: Period, inner: Period) -> bool:
    return outer.start_utc <= inner.start_utc and inner.end_utc <= outer.end_utc


def _is_before_creation(listing: SiteListing, day: date) -> bool:
    created = listing.site.created_at_utc
    return created is not None and local_day(day, listing.zone).end_utc <= created


def _landed(task: Task, answer: Answer, asked: Period, kind: Kind) -> Landed:
    days = task.wanted_days
    return Landed(
        dataset=task.dataset.name,
        site_id=task.site_id,
        subject_id=task.subject_id,
        timezone=task.listing.zone.key,
        first_day=days.first_day,
        last_day=days.last_day,
        received_at_utc=answer.received_at_utc,
        kind=kind,
        asked_from_utc=asked.start_utc,
        asked_until_utc=asked.end_utc,
        exists_from_utc=task.listing.site.created_at_utc,
        interval_minutes=task.listing.interval_minutes(task.dataset.name, task.subject_id)
        if task.dataset.kind == "interval"
        else None,
        body=answer.body,
    )


def _failed_entry(failure: Failure, timezone: str, now: datetime) -> Landed:
    return Landed(
        dataset=failure.dataset,
        site_id=failure.site_id,
        subject_id=failure.subject_id,
        timezone=timezone,
        first_day=failure.first_day,
        last_day=failure.last_day,
        received_at_utc=now,
        kind="failure",
        detail=failure.reason,
    )
