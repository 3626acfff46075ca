"""One ingestion run: recover what landed before, list, plan, fetch, commit.

Here: the order of things and the locks. Every decision it takes is a function elsewhere: what is missing
(``windows``), what an answer holds (``parsing``), how it is kept (``commit``).

Whose turn it is at a site, and who waits for whom, is in ``turns``.
"""

from __future__ import annotations

import logging
import os
import random
import uuid
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime

from climkit_pipeline.api.client import ClimkitClient
from climkit_pipeline.domain.periods import LARGEST_CLOCK_DIFFERENCE
from climkit_pipeline.errors import ClimkitError, ConfigurationError
from climkit_pipeline.files import file_lock
from climkit_pipeline.ingest import creation
from climkit_pipeline.ingest.absences import news_of_sites
from climkit_pipeline.ingest.commit import commit_folder
from climkit_pipeline.ingest.commit_report import CommitReport
from climkit_pipeline.ingest.fetching import Fetcher
from climkit_pipeline.ingest.finished import DaysListener, FinishedDays, ignore_days
from climkit_pipeline.ingest.frames import Finding
from climkit_pipeline.ingest.known import known_listings
from climkit_pipeline.ingest.known_empty import KnownEmpty
from climkit_pipeline.ingest.landing import Landed, LandingFolder, abandoned_folders, open_landing
from climkit_pipeline.ingest.ledger import CallLedger
from climkit_pipeline.ingest.listing_news import news_of_listings
from climkit_pipeline.ingest.listings import Listings, SiteListing, fetch_listings, list_site_ids
from climkit_pipeline.ingest.planning import is_complete, plan_calls, stretches_of
from climkit_pipeline.ingest.progress import Watchers
from climkit_pipeline.ingest.purposes import HISTORY
from climkit_pipeline.ingest.reports import Failure, IngestReport, IngestRequest, Progress
from climkit_pipeline.ingest.site_answers import SiteAnswers
from climkit_pipeline.ingest.stated_months import MonthQuestions
from climkit_pipeline.ingest.tasks import Plan
from climkit_pipeline.ingest.turns import Turns
from climkit_pipeline.ingest.zones import news_of_zones
from climkit_pipeline.lake import future_times
from climkit_pipeline.lake.account import account_identity, claim
from climkit_pipeline.lake.day_files import read_coverage
from climkit_pipeline.lake.layout import Layout
from climkit_pipeline.lake.schemas import DATASETS, SNAPSHOTS
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
        dice: random.Random | None = None,
    ) -> None:
        self.settings = settings
        self.layout = Layout(settings.data_dir)
        self.client = client
        self.ledger = ledger or CallLedger()
        self._progress = Watchers(*filter(None, [progress]))
        self._now = now
        self._account: tuple[datetime, list[str]] | None = None
        self._news_at: datetime | None = None
        self._listings: tuple[datetime, tuple[str, ...], Listings] | None = None
        self._listings_told: Listings | None = None
        self._fetcher = Fetcher(settings, client, self._progress, now)
        self._known_empty = KnownEmpty(self.layout, self.month_questions(HISTORY), now)
        self._site_answers = SiteAnswers(
            self.layout, self._fetcher, mode=settings.site_answers, dice=dice or random.SystemRandom(), now=now
        )

    def now(self) -> datetime:
        """The present instant, by this ingestion's clock."""
        return self._now()

    def month_questions(self, purpose: str) -> MonthQuestions:
        """Who asks for whole months."""

        def on_call() -> None:
            self._progress.planned(1)
            self._progress.called("asking for whole months")

        return MonthQuestions(self.client, mode=self.settings.site_answers, purpose=purpose, on_call=on_call)

    def expect_calls(self, calls: int) -> None:
        """Tell who watches that so many calls are left, before they are planned one by one."""
        self._progress.expect(calls)

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

    def _news_of_listings(self, listings: Listings) -> list[Finding]:
        """Sites and meters that are listed otherwise than before, and zones that are, looked for once per listing."""
        if listings is self._listings_told:
            return []
        self._listings_told = listings
        news = news_of_zones(self.layout, listings.sites, self._now())
        return _warned(news + news_of_listings(self.layout, listings.sites, self._now()))

    # --- planning -----------------------------------------------------------------------------------------------

    def plan(self, request: IngestRequest, sites: Sequence[SiteListing]) -> Plan:
        """The calls that bring ``request`` up to date, meters first, site by site; reads coverage alone."""
        return plan_calls(self.layout, request, sites, self._fetcher.window_days, self._now())

    def survey_calls(self, request: IngestRequest, sites: Sequence[SiteListing]) -> int:
        """How many calls will ask which months of a long history hold data."""
        return self._known_empty.expected_calls(request, sites)

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

    def run(
        self,
        request: IngestRequest,
        run_id: str | None = None,
        on_days: DaysListener = ignore_days,
        progress: Progress | None = None,
    ) -> IngestReport:
        """Bring ``request`` up to date, site by site, and say what is good and what is not.

        ``on_days`` is told of days as soon as the last site that they wait for is committed. Failures of single windows
        and sites are in the report; errors that stop everything are raised, with what was received until then in the
        lake. Days that have not begun are left out; raises ConfigurationError if no other is asked for. ``progress``
        watches this run, beside who watches all.
        """
        with self._progress.joined_by(progress):
            return self._run(self._begun(request), run_id, on_days)

    def _run(self, request: IngestRequest, run_id: str | None, on_days: DaysListener) -> IngestReport:
        report = IngestReport(request)
        finished = FinishedDays(self.layout, report, on_days, self.settings.zone, self._now)
        self._check_times(request)
        complete = self._complete_account(request)
        if complete is not None:
            # A run that was killed right after its last commit leaves answers that nobody needs any more.
            report.committed.add(self.recover())
            logger.info("everything asked for is complete: no call is made")
            finished.tell(complete, set(request.days))
            return report
        site_ids = self._wanted_sites(request)
        report.committed.add(self.recover())
        report.news = self._news_of_sites()
        listings = self.listings(site_ids)
        report.news += self._news_of_listings(listings)
        self._fetcher.begin_run()
        self._known_empty.begin_run()
        owner = f"run {run_id or os.getpid()} since {self._now():%H:%M} UTC"
        names = [dataset.name for dataset in request.series]
        turns = Turns(self.layout, names, owner, is_urgent=request.is_urgent, on_wait=self._progress.note)
        with (
            turns.going_first(),
            open_landing(self.layout.landing, run_id or uuid.uuid4().hex) as folder,
            self.ledger.kept_in(folder),
        ):
            self._land_listings(folder, request, listings, report)
            report.committed.add(commit_folder(self.layout, folder))
            for stretch in stretches_of(request):
                planned = self.plan(stretch, listings.sites)
                self.expect_calls(len(planned.tasks))
                finished.begin(stretch, listings.sites, planned)
                waiting = list(listings.sites)
                while waiting:
                    with turns.next_of(waiting) as listing:
                        self._fetch_site(folder, stretch, listing, report)
                    waiting.remove(listing)
                    finished.is_done(listing)
                    if waiting:
                        self._progress.note(f"site {listing.name} is in the lake, {len(waiting)} to go")
        return report

    def _check_times(self, request: IngestRequest) -> None:
        """Raise ConfigurationError if answers from the future would hide those that come now."""
        now = self._now()
        limit = now + LARGEST_CLOCK_DIFFERENCE
        for dataset in request.series:
            asked = read_coverage(self.layout, dataset, request.days, ("last_asked_at_utc",))
            latest = asked["last_asked_at_utc"].max()
            if isinstance(latest, datetime) and latest > limit:
                raise ConfigurationError(
                    f"the lake holds answers of {latest:%Y-%m-%d %H:%M} UTC, and it is {now:%Y-%m-%d %H:%M}: this "
                    f"machine's clock was ahead, and what comes now would count as older. Run `{future_times.COMMAND}`"
                )

    def _fetch_site(
        self, folder: LandingFolder, request: IngestRequest, listing: SiteListing, report: IngestReport
    ) -> None:
        report.committed.add(self.recover())
        self._known_empty.survey(request, listing)
        planned = self._known_empty.leave_out(folder, self.plan(request, [listing]))
        self._fetch(folder, planned, report)
        if not any(task.is_probe for task in planned.tasks):
            return
        if creation.as_known(self.layout, [listing]) != [listing]:
            report.news += _warned([creation.tell(self.layout, listing, self._now())])
            self._land_listings(folder, request, Listings((listing,), {}), report)
            self._fetch(folder, self.plan(request, [listing]), report)

    def _fetch(self, folder: LandingFolder, planned: Plan, report: IngestReport) -> None:
        """Make the calls of a plan and commit their answers."""
        try:
            left = self._site_answers.fill(folder, planned, report)
            self._fetcher.fetch(folder, left, report)
        except BaseException:
            # What was received before an error, or before somebody stopped the run, is in the lake, too.
            with suppress(ClimkitError):
                report.committed.add(commit_folder(self.layout, folder))
            raise
        report.committed.add(commit_folder(self.layout, folder))

    def known_sites(self, request: IngestRequest) -> list[SiteListing]:
        """The sites of a request as they were last listed; costs no call."""
        return [
            listing
            for listing in known_listings(self.layout) or ()
            if self.settings.wants_site(listing.site_id)
            and (request.site_ids is None or listing.site_id in request.site_ids)
        ]

    def _complete_account(self, request: IngestRequest) -> list[SiteListing] | None:
        """The sites of ``request`` as the lake knows them, if all that it asks for is complete; else None."""
        if request.refetch or not self.layout.account.exists():
            return None
        known = self.known_sites(request)
        is_whole = is_complete(self.layout, request, known, self._fetcher.window_days, self._now())
        return known if is_whole else None

    def _begun(self, request: IngestRequest) -> IngestRequest:
        today = self._now().astimezone(self.settings.zone).date()
        if request.first_day > today:
            raise ConfigurationError(
                f"{request.first_day} to {request.last_day} have not begun: it is {today} in {self.settings.timezone}"
            )
        if request.last_day > today:
            logger.warning("days after %s have not begun and are left out", today)
        return replace(request, last_day=min(request.last_day, today))

    # --- listings -----------------------------------------------------------------------------------------------

    def _land_listings(
        self, folder: LandingFolder, request: IngestRequest, listings: Listings, report: IngestReport
    ) -> None:
        for listing in creation.as_known(self.layout, listings.sites):
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


def _warned(news: list[Finding]) -> list[Finding]:
    for finding in news:
        logger.warning("%s", finding)
    return news
