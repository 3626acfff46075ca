"""The weekly audit of the past: one call for each meter or site, and what differs asked for again."""

from datetime import UTC, datetime

import dagster as dg
import polars as pl

from climkit_pipeline.defs.resources import with_own_files
from climkit_pipeline.domain.periods import ONE_DAY
from climkit_pipeline.errors import WarehouseError
from climkit_pipeline.ingest.audit import SUMS_SCHEMA, AuditReport, audit
from climkit_pipeline.ingest.ingestion import Ingestion
from climkit_pipeline.ingest.opening import open_ingestion
from climkit_pipeline.ingest.reports import IngestRequest
from climkit_pipeline.settings import Settings, load_settings
from climkit_pipeline.warehouse.queries import whole_month_sums


def audit_account(ingestion: Ingestion, settings: Settings) -> AuditReport:
    """Audit every whole month from the start date on, with the sums that the published warehouse has."""
    try:
        sums = whole_month_sums(ingestion.layout.warehouse)
    except WarehouseError:  # nothing is published yet: months are compared with the last answer alone
        sums = pl.DataFrame(schema=SUMS_SCHEMA)
    yesterday = datetime.now(UTC).astimezone(settings.zone).date() - ONE_DAY
    like = with_own_files(IngestRequest(settings.start_date, yesterday), ingestion.layout)
    return audit(ingestion, settings.start_date, yesterday, sums, like)


@dg.op(name="audit_months", description="Asks for whole months of every meter, and again for those that differ.")
def _audit_op(context: dg.OpExecutionContext) -> None:
    settings = load_settings()
    with open_ingestion(settings) as ingestion:
        context.log.info(str(audit_account(ingestion, settings)))


@dg.job(name="audit_past", description="Compares whole months with what is stored, and asks again for what differs.")
def _audit_job() -> None:
    _audit_op()


AUDIT_JOB = _audit_job


def build_audit_schedule(settings: Settings) -> dg.ScheduleDefinition:
    """On Sunday after the look-back; off until somebody switches it on, as all that calls the API is."""
    return dg.ScheduleDefinition(
        name="weekly_audit",
        job=AUDIT_JOB,
        cron_schedule="0 9 * * 0",
        execution_timezone=settings.timezone,
        description=(
            "Once a week one call for each meter, or for its site, about all months since "
            f"{settings.start_date}: a month that is stated otherwise than before, or than its intervals add up to, "
            "is asked for again."
        ),
    )
