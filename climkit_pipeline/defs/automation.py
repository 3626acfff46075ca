"""When things run by themselves: the daily look-back, and the models after every ingestion."""

from datetime import date, timedelta

import dagster as dg

from climkit_pipeline.defs.lake_assets import KEY_PREFIX, LAKE_GROUP
from climkit_pipeline.defs.warehouse_assets import model_keys
from climkit_pipeline.domain.periods import ONE_DAY, month_start
from climkit_pipeline.settings import Settings

RANGE_START_TAG = "dagster/asset_partition_range_start"
RANGE_END_TAG = "dagster/asset_partition_range_end"
MODELS_BY_CALLER_TAG = "climkit/models"
"""On runs whose caller refreshes the models itself (the command line)."""


INGEST_JOB = dg.define_asset_job(
    "ingest_lake",
    selection=dg.AssetSelection.groups(LAKE_GROUP),
    description="Bring a range of days of the lake up to date, with the fewest calls.",
)

MODELS_JOB = dg.define_asset_job(
    "refresh_models",
    selection=dg.AssetSelection.assets(*model_keys()),
    description="Follow the lake's changes through the SQL models, test, publish.",
)


LATE_DATA_DAYS = 2
"""When gateways have delivered what they still held at a month's end."""


def look_back_from(today: date, settings: Settings) -> date:
    """The first local day that the schedule asks for again on ``today``.

    Twice per month it reaches back to the first day of the month before: a month is confirmed by two equal answers
    after its end, the second after the closing delay. That costs two more calls per meter and month.
    """
    first = today - timedelta(days=settings.lookback_days)
    for delay in (LATE_DATA_DAYS, settings.close_after_days):
        after_month = today - timedelta(days=delay)
        if after_month.day == 1:
            first = min(first, month_start(after_month - ONE_DAY))
    return max(settings.start_date, first)


def build_schedule(settings: Settings) -> dg.ScheduleDefinition:
    """Every morning at 06:30 local time: ask again for the days of the look-back, late data and revisions included."""

    @dg.schedule(
        name="daily_look_back",
        job=INGEST_JOB,
        cron_schedule="30 6 * * *",
        execution_timezone=settings.timezone,
        description=(
            f"Asks again for the last {settings.lookback_days} days, in one run; {LATE_DATA_DAYS} and "
            f"{settings.close_after_days} days after a month's end for that whole month, which confirms it."
        ),
    )
    def daily_look_back(context: dg.ScheduleEvaluationContext) -> dg.RunRequest:
        today = context.scheduled_execution_time.astimezone(settings.zone).date()
        first = look_back_from(today, settings)
        return dg.RunRequest(
            run_key=today.isoformat(),
            run_config={"ops": {"ingest": {"config": {"refetch": True}}}},
            tags={
                RANGE_START_TAG: first.isoformat(),
                RANGE_END_TAG: (today - timedelta(days=1)).isoformat(),
            },
        )

    return daily_look_back


def build_sensors() -> list[dg.SensorDefinition]:
    """Refresh the models after an ingestion, whether it was good or failed in part."""

    def build(status: dg.DagsterRunStatus, name: str) -> dg.SensorDefinition:
        # No monitored_jobs: materializations from the UI run in Dagster's own asset job, which cannot be named there.
        @dg.run_status_sensor(
            name=name,
            run_status=status,
            request_job=MODELS_JOB,
            default_status=dg.DefaultSensorStatus.RUNNING,
            minimum_interval_seconds=15,
            description="Refreshes and publishes the models after an ingestion that did not do so itself.",
        )
        def refresh(context: dg.RunStatusSensorContext) -> dg.RunRequest | dg.SkipReason:
            run = context.dagster_run
            if not _has_ingested(run):
                return dg.SkipReason(f"{run.job_name} fills no dataset of the lake")
            if MODELS_BY_CALLER_TAG in run.tags:
                return dg.SkipReason("whoever started that run refreshes the models")
            return dg.RunRequest(run_key=run.run_id)

        return refresh

    return [
        build(dg.DagsterRunStatus.SUCCESS, "models_after_ingestion"),
        build(dg.DagsterRunStatus.FAILURE, "models_after_partial_failure"),
    ]


def _has_ingested(run: dg.DagsterRun) -> bool:
    if run.asset_selection is None:
        return run.job_name == INGEST_JOB.name
    return any(key.path[0] == KEY_PREFIX for key in run.asset_selection)
