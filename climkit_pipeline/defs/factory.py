"""One factory builds the definitions, for Dagster's servers, the command line and the tests."""

import dagster as dg

from climkit_pipeline.defs.automation import build_jobs, build_schedule, build_sensors
from climkit_pipeline.defs.lake_assets import build_lake_assets
from climkit_pipeline.defs.partitions import daily_partitions
from climkit_pipeline.defs.resources import ClimkitResource, Ingests
from climkit_pipeline.defs.warehouse_assets import build_warehouse_assets, dbt_resource
from climkit_pipeline.settings import Settings, load_settings


def build_definitions(settings: Settings | None = None, climkit: Ingests | None = None) -> dg.Definitions:
    """Everything that Dagster knows. Needs neither credentials nor network; makes dbt's manifest if there is none."""
    settings = settings or load_settings()
    partitions = daily_partitions(settings)
    ingest_job, models_job = build_jobs()
    return dg.Definitions(
        assets=[build_lake_assets(partitions), build_warehouse_assets(settings)],
        jobs=[ingest_job, models_job],
        schedules=[build_schedule(ingest_job, settings)],
        sensors=build_sensors(models_job),
        resources={"climkit": climkit or ClimkitResource(), "dbt": dbt_resource()},
        # Starting a process per step costs seconds, and each job is one step.
        executor=dg.in_process_executor,
    )
