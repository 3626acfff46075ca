"""One factory builds the definitions, for Dagster's servers, the command line and the tests."""

import dagster as dg

from climkit_pipeline.defs.alert_sensors import build_alert_sensors
from climkit_pipeline.defs.auditing import AUDIT_JOB, build_audit_schedule
from climkit_pipeline.defs.automation import INGEST_JOB, MODELS_JOB, build_schedule, build_sensors
from climkit_pipeline.defs.descriptions import described
from climkit_pipeline.defs.housekeeping import TIDY_JOB, build_tidy_schedule
from climkit_pipeline.defs.lake_assets import build_lake_assets
from climkit_pipeline.defs.report_assets import build_report_assets
from climkit_pipeline.defs.resources import ClimkitResource, Ingests
from climkit_pipeline.defs.run_locks import locking_in_process_executor
from climkit_pipeline.defs.warehouse_assets import build_warehouse_assets
from climkit_pipeline.settings import Settings, load_settings


def build_definitions(settings: Settings | None = None) -> dg.Definitions:
    """Everything that Dagster knows. Needs neither credentials nor network."""
    settings = settings or load_settings()
    return dg.Definitions.merge(
        build_lake_definitions(settings, ClimkitResource()),
        dg.Definitions(
            assets=[described(build_warehouse_assets(settings), settings), *build_report_assets(settings)],
            jobs=[MODELS_JOB, TIDY_JOB, AUDIT_JOB],
            schedules=[build_schedule(settings), build_tidy_schedule(settings), build_audit_schedule(settings)],
            sensors=[*build_sensors(settings), *build_alert_sensors(settings)],
        ),
    )


def build_lake_definitions(settings: Settings, climkit: Ingests) -> dg.Definitions:
    """The lake alone, for whoever ingests first and builds models later: it loads without them."""
    return dg.Definitions(
        assets=[described(build_lake_assets(settings), settings)],
        jobs=[INGEST_JOB],
        resources={"climkit": climkit},
        # Starting a process per step costs seconds, and each job is one step.
        executor=locking_in_process_executor,
    )


def build_warehouse_definitions(settings: Settings) -> dg.Definitions:
    """The models alone, for a refresh from the command line."""
    return dg.Definitions(
        assets=[build_warehouse_assets(settings)], jobs=[MODELS_JOB], executor=locking_in_process_executor
    )
