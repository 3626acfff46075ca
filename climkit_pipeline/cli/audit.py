"""``climkit audit``: whole months against what is stored."""

from __future__ import annotations

import click

from climkit_pipeline.api.pacer import spacing_seconds
from climkit_pipeline.cli.progress_display import call_progress
from climkit_pipeline.ingest.opening import open_ingestion
from climkit_pipeline.settings import Settings


def run_audit(settings: Settings) -> bool:
    """Audit the account, and say what differs; whether what was asked for again came."""
    # Importing Dagster takes seconds.
    from climkit_pipeline.defs.auditing import audit_account

    with (
        call_progress(spacing_seconds(settings.requests_per_second)) as progress,
        open_ingestion(settings, progress) as ingestion,
    ):
        report = audit_account(ingestion, settings)
    for finding in report.findings:
        click.echo(str(finding), err=True)
    click.echo(str(report), err=True)
    return all(each.is_good for each in report.reports)
