"""``climkit status`` and ``climkit check``: what is there, and whether everything is ready for more."""

from __future__ import annotations

import json
import shutil
import socket
from collections.abc import Callable
from dataclasses import asdict
from datetime import UTC, datetime

import click
import polars as pl

from climkit_pipeline.alerts.sending import check_addresses, send
from climkit_pipeline.api.client import RetryPolicy
from climkit_pipeline.api.pacer import spacing_seconds
from climkit_pipeline.cli.estimates import estimate
from climkit_pipeline.cli.ranges import yesterday
from climkit_pipeline.cli.tables import print_frame
from climkit_pipeline.errors import AlertError, ClimkitError, ConfigurationError, WarehouseError
from climkit_pipeline.ingest import creation
from climkit_pipeline.ingest.comparisons import read_proofs
from climkit_pipeline.ingest.opening import open_ingestion
from climkit_pipeline.ingest.reports import IngestRequest
from climkit_pipeline.lake import future_times
from climkit_pipeline.lake.account import check_format, check_writable
from climkit_pipeline.lake.layout import Layout
from climkit_pipeline.lake.odd_answers import RECENT, odd_answers
from climkit_pipeline.lake.spent_calls import calls_by_purpose
from climkit_pipeline.lake.status import lake_status
from climkit_pipeline.settings import Settings, load_settings
from climkit_pipeline.user_files.config_folder import read_user_inputs
from climkit_pipeline.warehouse import queries
from climkit_pipeline.warehouse.closed_files import check_closed
from climkit_pipeline.warehouse.decision_effects import doubtful_lines

ENOUGH_FREE_BYTES = 2 * 2**30
"""Room for the swap of a warehouse of a year with a hundred meters."""


def print_status(settings: Settings, *, as_json: bool) -> None:
    """Per dataset and site the days by state; per month the grades."""
    layout = Layout(settings.data_dir)
    entries = [asdict(entry) for entry in lake_status(layout)]
    try:
        grades = queries.grades_by_month(layout.warehouse)
    except WarehouseError:
        grades = pl.DataFrame(schema={"billing_month": pl.Date, "grade": pl.String, "meters": pl.Int64})
    odd = odd_answers(layout, datetime.now(UTC) - RECENT)
    spent = calls_by_purpose(layout, datetime.now(UTC) - RECENT, spacing_seconds(settings.requests_per_second))
    if as_json:
        document = {
            "datasets": entries,
            "months": grades.to_dicts(),
            "odd_answers": odd.to_dicts(),
            "calls": spent.to_dicts(),
        }
        click.echo(json.dumps(document, default=str, indent=2))
        return
    if not entries:
        click.echo(f"Nothing has been asked for yet ({layout.root}). Begin with: climkit check")
        return
    frame = pl.DataFrame(entries).with_columns(pl.col("last_asked_at_utc").dt.strftime("%Y-%m-%d %H:%M"))
    frame = frame.join(_site_names(layout), on="site_id", how="left", maintain_order="left")
    print_frame(
        frame.select("site_id", "site_name", pl.exclude("site_id", "site_name")),
        title="Days by state (local days of each site)",
        optional=["site_id", "first_day", "last_asked_at_utc", "last_day", "empty", "pending"],
    )
    print_frame(grades, title="Meters by grade")
    if not spent.is_empty():
        print_frame(spent, title=f"Calls of the last {RECENT.days} days by purpose, attempts that failed included")
    if not odd.is_empty():
        print_frame(
            odd.select("code", "dataset", "site_id", "occurrences", "last_found", "meaning", "example"),
            title=f"What was odd in answers of the last {RECENT.days} days",
            optional=["last_found", "site_id", "example"],
        )


def _site_names(layout: Layout) -> pl.DataFrame:
    try:
        return queries.run_query(layout.warehouse, "select site_id, site_name from sites")
    except WarehouseError:
        return pl.DataFrame(schema={"site_id": pl.String, "site_name": pl.String})


def run_check(settings_error: ClimkitError | None, *, send_alert: bool = False) -> bool:
    """Print one line per precondition, ok or what to do; whether all are ok."""
    if settings_error is not None:
        click.echo(f"{'configuration':<16} wrong {settings_error}")
        return False
    settings = load_settings()
    layout = Layout(settings.data_dir)

    def configuration() -> str:
        settings.require_credentials()
        check_format(layout)
        return f"{settings.base_url}, user {settings.username}, {settings.requests_per_second:g} calls/s"

    def write_access() -> str:
        check_writable(layout)
        return str(layout.root)

    def free_disk() -> str:
        folder = layout.root
        while not folder.exists():
            folder = folder.parent
        free = shutil.disk_usage(folder).free
        if free < ENOUGH_FREE_BYTES:
            raise ConfigurationError(f"only {free / 1e9:.1f} GB free in {folder}: make room")
        return f"{free / 1e9:.0f} GB"

    def own_inputs() -> str:
        inputs = read_user_inputs(layout)
        doubtful = doubtful_lines(inputs, layout.warehouse)
        return "; ".join([str(inputs), *doubtful])

    def fetch_times() -> str:
        if found := future_times.find(layout, datetime.now(UTC)):
            raise ConfigurationError(f"{found}. Run: {future_times.COMMAND}")
        return "none later than now"

    local = [
        _line("configuration", configuration),
        _line("write access", write_access),
        _line("free disk", free_disk),
        _line("your own files", own_inputs),
        _line("closed months", lambda: check_closed(layout)),
        _line("fetch times", fetch_times),
    ]
    # Who is told of a failure has nothing to do with whether the account can be asked.
    alarms = _line("alarms", lambda: _alarms(settings, send_alert=send_alert))
    if not all(local):
        return False
    return _check_account(settings) and alarms


def _alarms(settings: Settings, *, send_alert: bool) -> str:
    addresses = settings.alert_addresses
    if not addresses:
        if send_alert:
            raise ConfigurationError("there is nobody to send a message to: set CLIMKIT_ALERT_URLS")
        return "off: CLIMKIT_ALERT_URLS is not set"
    if not send_alert:
        check_addresses(addresses)
        return f"{len(addresses)} address{'es' * (len(addresses) != 1)}; `climkit check --alert` sends a test message"
    delivery = send(
        addresses,
        "climkit: a test message",
        f"Alarms of the data in {settings.data_dir} on {socket.gethostname()} arrive here.\n"
        "This is a test, asked for by `climkit check --alert`; there is nothing to do.",
    )
    if delivery.refused:
        raise AlertError(f"the test message was {delivery}")
    return f"the test message was {delivery}"


def _check_account(settings: Settings) -> bool:
    layout = Layout(settings.data_dir)
    # Whoever checks is watching: ten seconds tell as much as a backfill's minute.
    with open_ingestion(settings, policy=RetryPolicy(first_success_deadline=10)) as ingestion:

        def listing() -> str:
            listed = len(ingestion.open_account())
            return f"{listed} site{'s' * (listed != 1)}"

        def missing() -> str:
            listings = ingestion.listings(ingestion.open_account())
            request = IngestRequest(settings.start_date, yesterday(settings))
            cost = estimate(ingestion.plan(request, listings.sites), settings, read_proofs(layout, datetime.now(UTC)))
            left_out = creation.sentence(creation.not_asked(layout, request, listings.sites))
            return f"what is missing since {settings.start_date}: {cost}" + (f"; {left_out}" if left_out else "")

        return _line("log-in and list", listing) and _line("estimate", missing)


def _line(name: str, check: Callable[[], str]) -> bool:
    try:
        click.echo(f"{name:<16} ok    {check()}")
    except ClimkitError as error:
        for line in str(error).splitlines():
            click.echo(f"{name:<16} wrong {line}")
        return False
    return True
