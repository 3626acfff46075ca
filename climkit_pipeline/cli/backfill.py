"""``climkit backfill`` and what ``demo`` shares with it: months newest first, the models in between, one verdict."""

from __future__ import annotations

import json
import logging
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING

import click
import polars as pl

from climkit_pipeline.api.pacer import spacing_seconds
from climkit_pipeline.cli.estimates import as_duration, estimate, nothing
from climkit_pipeline.cli.progress_display import call_progress
from climkit_pipeline.cli.tables import print_frame
from climkit_pipeline.errors import ConfigurationError, WarehouseError
from climkit_pipeline.ingest import creation
from climkit_pipeline.ingest.comparisons import read_proofs
from climkit_pipeline.ingest.ingestion import Ingestion
from climkit_pipeline.ingest.ledger import CallCounts
from climkit_pipeline.ingest.opening import open_ingestion
from climkit_pipeline.ingest.purposes import HISTORY, PURPOSES
from climkit_pipeline.ingest.raw_policy import Part, parts_of
from climkit_pipeline.ingest.reports import IngestReport, IngestRequest, Progress
from climkit_pipeline.ingest.tasks import Plan
from climkit_pipeline.lake.layout import Layout
from climkit_pipeline.lake.schemas import DATASETS
from climkit_pipeline.settings import Settings

if TYPE_CHECKING:
    from climkit_pipeline.defs.resources import SharedIngestion

logger = logging.getLogger(__name__)

SECONDS_BETWEEN_MODELS = 6 * 3600
SHORT_WAIT_SECONDS = 300
"""Whoever has to wait for no more calls than that sees the first month together with the rest."""


@dataclass(frozen=True, slots=True)
class BackfillRequest:
    """What the user asked for."""

    first_day: date
    last_day: date
    datasets: tuple[str, ...] = tuple(DATASETS)
    site_ids: tuple[str, ...] = ()
    refetch: bool = False
    with_models: bool = True

    def as_ingest_request(self) -> IngestRequest:
        """The whole range as one request."""
        return IngestRequest(
            self.first_day,
            self.last_day,
            self.datasets,
            self.site_ids or None,
            self.refetch,
            history_from=self.first_day,
        )


@dataclass
class Summary:
    """What a backfill did; field names are the keys of ``--json``."""

    attempts: int = 0
    """Every try of every call, log-ins and listings included."""
    series_calls: int = 0
    retries: int = 0
    share_of_slots: float | None = None
    """Of the starts that the rate allowed between the first and the last series call, those that this process used."""
    rows: int = 0
    """Rows of the answers that were committed."""
    new: int = 0
    """Values that were not known before."""
    revised: int = 0
    """Values that replaced others, or were withdrawn."""
    short: int = 0
    """Answers that lacked rows; each stretch was asked for once more."""
    findings: int = 0
    failed: list[str] = field(default_factory=list)
    news: list[str] = field(default_factory=list)
    """Sites and meters that are new, gone, back, or listed as something else than before."""
    not_asked: str | None = None
    """Days before the creation of sites."""
    is_complete: bool = False

    def add(self, report: IngestReport) -> None:
        """Count one run in."""
        self.series_calls += report.calls.total()
        self.rows += report.committed.rows
        self.new += report.committed.rows_new
        self.revised += report.committed.rows_revised
        self.short += report.short_answers
        self.findings += len(report.committed.findings)
        self.failed += [str(failure) for failure in report.failures]
        self.news += [str(finding) for finding in report.news]

    def count_calls(self, counts: CallCounts, requests_per_second: float) -> None:
        """Take over what the ledger of this process counted."""
        self.attempts, self.retries = counts.attempts, counts.retries
        share = counts.share_of_slots(requests_per_second)
        self.share_of_slots = None if share is None else round(share, 3)

    def __str__(self) -> str:
        used = "" if self.share_of_slots is None else f" ({self.share_of_slots:.0%} of the slots)"
        return (
            f"{self.series_calls:,} series calls{used}, {self.retries:,} retries, {self.rows:,} rows, "
            f"{self.new:,} new, {self.revised:,} revised, {self.short:,} short answers, {self.findings:,} findings, "
            f"{len(self.failed):,} failed parts"
        )


def check_sites(ingestion: Ingestion, wanted: Sequence[str]) -> None:
    """Log in and raise ConfigurationError for a site that the account does not list."""
    listed = ingestion.open_account()
    unknown = [site_id for site_id in wanted if site_id not in listed]
    if unknown:
        known = ", ".join(listed[:5]) + (", …" if len(listed) > 5 else "") if listed else "none"
        raise ConfigurationError(f"--site {unknown[0]!r} is not a site of this account; accepted: {known}")


def run_backfill(settings: Settings, request: BackfillRequest, *, as_json: bool = False) -> bool:
    """Backfill through Dagster runs; whether everything is good. Failures are named on stderr."""
    summary = Summary()
    with (
        call_progress(spacing_seconds(settings.requests_per_second)) as progress,
        open_ingestion(settings, progress) as ingestion,
    ):
        check_sites(ingestion, request.site_ids)
        # Importing Dagster takes seconds; what needs it comes after everything that can be refused.
        from climkit_pipeline.defs.resources import SharedIngestion

        try:
            shared = SharedIngestion(ingestion, summary.add)
            summary.is_complete = _run_months(settings, request, shared, ingestion, progress)
            wanted = request.as_ingest_request()
            summary.not_asked = creation.sentence(
                creation.not_asked(ingestion.layout, wanted, ingestion.known_sites(wanted))
            )
        finally:
            summary.count_calls(ingestion.ledger.counts, settings.requests_per_second)
            _name_what_matters(summary)
    if as_json:
        click.echo(json.dumps(asdict(summary), indent=2))
    click.echo(str(summary), err=True)
    return summary.is_complete


def _name_what_matters(summary: Summary) -> None:
    for line in summary.news:
        click.echo(line, err=True)
    if summary.not_asked:
        click.echo(summary.not_asked, err=True)
    for failure in summary.failed:
        click.echo(f"failed: {failure}", err=True)


def _run_months(
    settings: Settings, request: BackfillRequest, shared: SharedIngestion, ingestion: Ingestion, progress: Progress
) -> bool:
    from climkit_pipeline.defs.launch import Launcher, open_instance

    parts = _parts(settings, request)
    calls = [len(plan.tasks) for plan in _plans(settings, request, ingestion)]
    progress.expect(sum(calls))
    is_good = True
    models_at: float | None = None
    has_new = False
    with open_instance(ingestion.layout) as instance:
        launcher = Launcher(settings, instance, shared)
        for number, part in enumerate(parts, start=1):
            is_good &= launcher.ingest(
                part.first_day,
                part.last_day,
                part.datasets,
                request.site_ids,
                refetch=request.refetch,
                is_raw_sparing=part.is_raw_sparing,
                history_from=request.first_day.isoformat(),
            )
            progress.note(f"{_named(part)} in the lake")
            has_new = True
            is_long = sum(calls[number:]) / settings.requests_per_second > SHORT_WAIT_SECONDS
            is_due = models_at is None or time.monotonic() - models_at > SECONDS_BETWEEN_MODELS
            if request.with_models and (number == len(parts) or (is_long and is_due)):
                progress.note("building the models")
                try:
                    launcher.refresh_models()
                    has_new = False
                except WarehouseError as error:
                    # Another backfill may have moved the lake meanwhile: the months go on, the models come at the end.
                    logger.warning("the models failed and are built again at the end: %s", error)
                models_at = time.monotonic()
        if request.with_models and has_new:
            progress.note("building the models")
            launcher.refresh_models()
    return is_good


def _parts(settings: Settings, request: BackfillRequest) -> list[Part]:
    today = datetime.now(settings.zone).date()
    is_sparing = settings.raw_data == "sparing"
    return parts_of(request.first_day, request.last_day, request.datasets, today, is_sparing=is_sparing)


def _named(part: Part) -> str:
    if part.is_raw_sparing:
        return f"raw readings of {part.first_day:%Y-%m} to {part.last_day:%Y-%m} are"
    return f"{part.first_day:%Y-%m} is"


def _plans(settings: Settings, request: BackfillRequest, ingestion: Ingestion) -> list[Plan]:
    """The plan of each part, as things are now."""
    whole = request.as_ingest_request()
    sites = ingestion.listings_for(whole).sites
    return [ingestion.plan(replace(whole, **asdict(part)), sites) for part in _parts(settings, request)]


def print_plan(settings: Settings, request: BackfillRequest) -> None:
    """Print what the backfill would cost; asks for listings, for no series."""
    layout = Layout(settings.data_dir)
    with open_ingestion(settings) as ingestion:
        check_sites(ingestion, request.site_ids)
        whole = request.as_ingest_request()
        listings = ingestion.listings_for(whole)
        plans = _plans(settings, request, ingestion)
        surveys = ingestion.survey_calls(whole, listings.sites)
    proofs = read_proofs(layout, datetime.now(UTC))
    cost = sum((estimate(plan, settings, proofs) for plan in plans), nothing(settings))
    cost.calls[HISTORY] += surveys
    end = datetime.now(settings.zone) + timedelta(hours=cost.hours)
    click.echo(
        f"{cost.calls.total():,} calls, {as_duration(cost.hours)} at {settings.requests_per_second:g}/s: begun now, "
        f"done by {end:%a %d %b %Y %H:%M}; {cost.disk_bytes / 1e6:,.0f} MB of disk"
    )
    by_purpose = [
        {"purpose": purpose, "calls": cost.calls[purpose], "time": as_duration(cost.hours_of(cost.calls[purpose]))}
        for purpose in PURPOSES
        if cost.calls[purpose]
    ]
    schema = {"purpose": pl.String, "calls": pl.Int64, "time": pl.String}
    print_frame(pl.DataFrame(by_purpose, schema=schema), title="By purpose")
    if settings.site_answers == "auto" and not proofs.meters and cost.calls:
        click.echo("fewer, if answers about sites hold the series of their meters: that is tried first")
    elif settings.site_answers != "never" and cost.calls.total():
        click.echo("more, where an answer about a site lacks a meter or leaves it in doubt: it is asked by itself")
    names = {listing.site_id: listing.site.name for listing in listings.sites}
    counts = sum((Counter(plan.calls_by_dataset_and_site()) for plan in plans), Counter())
    rows = [
        {"dataset": dataset, "site_id": site_id, "site_name": names[site_id], "windows": windows}
        for (dataset, site_id), windows in counts.items()
    ]
    schema = {"dataset": pl.String, "site_id": pl.String, "site_name": pl.String, "windows": pl.Int64}
    print_frame(pl.DataFrame(rows, schema=schema), title=f"Windows of {request.first_day} to {request.last_day}")
    if left_out := creation.sentence(creation.not_asked(layout, whole, listings.sites)):
        click.echo(left_out)
    for site_id, reason in listings.failures.items():
        click.echo(f"site {site_id} could not be listed: {reason}", err=True)
    sys.stdout.flush()
