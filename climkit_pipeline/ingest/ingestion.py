"""One ingestion run: recover what landed before, list, plan, fetch, commit.

Here: the order of things and the locks. Every decision it takes is a function elsewhere: what is missing
(``planner``), what an answer holds (``parsing``), how it is kept (``commit``).

Locks: one per dataset and site, from planning to commit, so that no window is asked twice at once. A run never waits
while it holds one: it takes the sites that are free, finishes them, and only then waits for the rest.
"""

from __future__ import annotations

import hashlib
import logging
import uuid
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path

import polars as pl

from climkit_pipeline.api.client import ClimkitClient
from climkit_pipeline.domain.periods import local_day
from climkit_pipeline.errors import ConfigurationError
from climkit_pipeline.files import LockBusyError, file_lock
from climkit_pipeline.ingest.absences import news_of_sites
from climkit_pipeline.ingest.commit import commit_folder
from climkit_pipeline.ingest.commit_report import CommitReport
from climkit_pipeline.ingest.fetching import Fetcher
from climkit_pipeline.ingest.frames import Finding
from climkit_pipeline.ingest.landing import Landed, LandingFolder, abandoned_folders, open_landing
from climkit_pipeline.ingest.ledger import CallLedger
from climkit_pipeline.ingest.listings import Listings, SiteListing, fetch_listings, list_site_ids
from climkit_pipeline.ingest.planner import is_missing, plan_windows
from climkit_pipeline.ingest.reports import Failure, IngestReport, IngestRequest, Progress, Silent
from climkit_pipeline.ingest.tasks import Plan, Task
from climkit_pipeline.ingest.zones import news_of_zones
from climkit_pipeline.lake import coverage as law
from climkit_pipeline.lake.account import account_identity, claim
from climkit_pipeline.lake.coverage import DayCoverage
from climkit_pipeline.lake.day_files import by_day, first_days_with_rows, read_coverage
from climkit_pipeline.lake.layout import Layout
from climkit_pipeline.lake.schemas import DATASETS, SNAPSHOTS, Dataset
from climkit_pipeline.lake.site_zones import filed_zones
from climkit_pipeline.settings import Settings

logger = logging.getLogger(__name__)

LISTING_MAX_AGE_SECONDS = 6 * 3600


class Ingestion:
    """Brings the lake of one data directory up to date; one object per process, for any number of requests."""

    def __init__(
        self,
        *,
        settings: Settings,
        client: ClimkitClient,
        progress: Progress | None = None,
        ledger: CallLedger | None = None,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.settings = settings
        self.layout = Layout(settings.data_dir)
        self.client = client
        self.ledger = ledger or CallLedger()
        self._progress = progress or Silent()
        self._now = now
        self._account: tuple[datetime, list[str]] | None = None
        self._news_at: datetime | None = None
        self._listings: tuple[datetime, tuple[str, ...], Listings] | None = None
        self._zones_told: Listings | None = None
        self._fetcher = Fetcher(settings, client, self._progress, now)

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
            self._check_wanted(self._account[1])
        return [site_id for site_id in self._account[1] if self.settings.wants_site(site_id)]

    def _check_wanted(self, listed: Sequence[str]) -> None:
        unknown = sorted(set(self.settings.sites) - set(listed))
        if unknown and len(unknown) == len(set(self.settings.sites)):
            raise ConfigurationError(
                f"CLIMKIT_SITES is {','.join(self.settings.sites)!r}: the account lists none of them; "
                f"accepted: {', '.join(listed[:5]) or 'nothing, it lists no site'}"
            )
        if unknown:  # it may have left the account, which must not stop the others
            logger.warning("CLIMKIT_SITES names sites that the account does not list: %s", ", ".join(unknown))

    def listings(self, site_ids: Sequence[str]) -> Listings:
        """Sites, meters and sensors, asked for once in six hours."""
        wanted = tuple(site_ids)
        if self._listings is not None:
            listed_at, listed, listings = self._listings
            if listed == wanted and (self._now() - listed_at).total_seconds() < LISTING_MAX_AGE_SECONDS:
                return listings
        self._progress.planned(3 * len(wanted))
        listings = fetch_listings(
            self.client,
            list(wanted),
            self.settings.zone,
            filed_zones(self.layout),
            lambda: self._progress.called("listing sites"),
        )
        # A list with failures is not kept: the site may answer again before the next month is asked for.
        self._listings = None if listings.failures else (self._now(), wanted, listings)
        return listings

    def listings_for(self, request: IngestRequest) -> Listings:
        """What is listed of the sites that both the settings and ``request`` include."""
        return self.listings(self._wanted_sites(request))

    def _wanted_sites(self, request: IngestRequest) -> list[str]:
        return [site for site in self.open_account() if request.site_ids is None or site in request.site_ids]

    def _news_of_sites(self) -> list[Finding]:
        """Sites that left or came back, looked for once per listing of the account."""
        if self._account is None or self._account[0] == self._news_at:
            return []
        self._news_at, listed = self._account
        return _warned(news_of_sites(self.layout, listed, self._now()))

    def _news_of_zones(self, listings: Listings) -> list[Finding]:
        """Sites that state another zone than their days are filed in, told once per listing."""
        if listings is self._zones_told:
            return []
        self._zones_told = listings
        return _warned(news_of_zones(self.layout, listings.sites, self._now()))

    # --- planning -----------------------------------------------------------------------------------------------

    def plan(self, request: IngestRequest, sites: Sequence[SiteListing]) -> Plan:
        """The calls that bring ``request`` up to date, meters first, site by site; reads coverage alone."""
        tasks: list[Task] = []
        for dataset in request.series:
            firsts = first_days_with_rows(self.layout, dataset)
            known = by_day(read_coverage(self.layout, dataset, request.days))
            coverage = {day: law.from_frame(known[day]) if day in known else {} for day in request.days}
            for listing in sites:
                for subject_id in listing.subjects(dataset.name):
                    days = self._missing_days(request, listing, subject_id, coverage, firsts)
                    windows = plan_windows(days, self._fetcher.window_days(dataset.name))
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
            if not listing.is_before_creation(day)
            and local_day(day, listing.zone).start_utc < self._now()
            and (request.refetch or is_missing(coverage[day].get(key), day, firsts.get(key)))
        ]

    def keep_calls(self) -> None:
        """Put the calls that belong to no run (a plan, a check) into the lake; for the end of a process."""
        if self._account is not None and self.ledger.has_waiting:
            with open_landing(self.layout.landing, uuid.uuid4().hex) as folder:
                with self.ledger.kept_in(folder):
                    pass
                commit_folder(self.layout, folder)

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
        site_ids = self._wanted_sites(request)
        report.committed.add(self.recover())
        report.news = self._news_of_sites()
        listings = self.listings(site_ids)
        report.news += self._news_of_zones(listings)
        with open_landing(self.layout.landing, run_id or uuid.uuid4().hex) as folder, self.ledger.kept_in(folder):
            self._land_listings(folder, request, listings, report)
            report.committed.add(commit_folder(self.layout, folder))
            waiting = list(listings.sites)
            while waiting:
                with self._free_sites(request, waiting) as free:
                    if free:
                        report.committed.add(self.recover())
                        self._fetcher.fetch(folder, self.plan(request, free), report)
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
        self._progress.note(f"waiting for another run, which works on site {listing.site_id}")
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
            past = [day for day in request.days if day < today and not listing.is_before_creation(day)]
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
                    folder.add(failure.landed(self.settings.timezone, self._now()))

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
            columns = ("site_id", "subject_id", "state")
            known = by_day(read_coverage(self.layout, dataset, request.days, columns))
            nothing = pl.DataFrame(schema=dict.fromkeys(columns, pl.String))
            report.states[name] = {
                day: Counter(
                    row["state"]
                    for row in known.get(day, nothing).iter_rows(named=True)
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


def _warned(news: list[Finding]) -> list[Finding]:
    for finding in news:
        logger.warning("%s", finding)
    return news
