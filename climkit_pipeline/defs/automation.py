"""When things run by themselves: the morning's look-back, histories in between, and the models after ingestions."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, date, datetime, timedelta

import dagster as dg

from climkit_pipeline.defs.keys import LAKE_PREFIX, WAREHOUSE_PREFIX, asset_key
from climkit_pipeline.domain.periods import ONE_DAY, last_month
from climkit_pipeline.ingest.history import unfinished_parts
from climkit_pipeline.ingest.raw_policy import Part
from climkit_pipeline.lake.day_files import days_on_disk
from climkit_pipeline.lake.layout import Layout
from climkit_pipeline.lake.schemas import DATASETS, METER_INDICES, METER_INTERVALS
from climkit_pipeline.settings import Settings

RANGE_START_TAG = "dagster/asset_partition_range_start"
RANGE_END_TAG = "dagster/asset_partition_range_end"
PRIORITY_TAG = "dagster/priority"
MODELS_BY_CALLER_TAG = "climkit/models"
"""On runs whose caller refreshes the models itself (the command line)."""
KIND_TAG = "climkit/kind"
"""What a run is, for the limits in dagster.yaml: one refresh and one history at a time."""
ASKS_TAG = "climkit/asks"
"""On a scheduled run, in words: what it asks for again."""

INGEST_JOB = dg.define_asset_job(
    "ingest_lake",
    selection=dg.AssetSelection.assets(*(asset_key(name) for name in DATASETS)),
    description="Bring a range of days of the lake up to date, with the fewest calls.",
)

MODELS_JOB = dg.define_asset_job(
    "refresh_models",
    # By its prefix, not by its tables: whoever ingests alone need not read the models.
    selection=dg.AssetSelection.key_prefixes(WAREHOUSE_PREFIX),
    description="Follow the lake's changes through the SQL models, test, publish.",
    tags={KIND_TAG: "refresh", PRIORITY_TAG: "5"},
)


DAYS_WITHOUT_RAW = 7
"""Between two mornings that ask for raw readings, which no bill waits for."""
LATE_DATA_DAYS = 2
"""When gateways have delivered what they still held at a month's end."""

WAITING = [dg.DagsterRunStatus.QUEUED, dg.DagsterRunStatus.NOT_STARTED, dg.DagsterRunStatus.STARTING]
UNDER_WAY = [*WAITING, dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.CANCELING]


def look_back_from(today: date, settings: Settings, newest: date | None = None) -> date:
    """The first local day that the schedule asks for again on ``today``.

    Twice per month it reaches back to the first day of the month before: a month is confirmed by two equal answers
    after its end, the second after the closing delay. That costs two more calls per meter and month. After mornings
    that were missed it reaches back to ``newest``, the newest day that was asked for, however long ago.
    """
    first = today - timedelta(days=settings.lookback_days)
    for delay in (LATE_DATA_DAYS, settings.close_after_days):
        # Of a morning that was missed, too: what it would have asked for is asked for now.
        for missed in range((today - newest).days if newest is not None and newest < today else 1):
            after_month = today - timedelta(days=delay + missed)
            if after_month.day == 1:
                first = min(first, last_month(after_month))
    if newest is not None:
        first = min(first, newest + ONE_DAY)
    return max(settings.start_date, first)


def asks_for_raw(today: date, first: date, settings: Settings, asked: Sequence[date]) -> bool:
    """Whether the schedule asks for raw readings on ``today``: once a week, and where it reaches back to a whole month.

    ``first`` is the first day that it asks for, ``asked`` the days with raw readings, oldest first.
    """
    if settings.raw_data == "all" or not asked or asked[-1] <= today - ONE_DAY * DAYS_WITHOUT_RAW:
        return True
    return first < today - timedelta(days=settings.lookback_days)


def build_schedule(settings: Settings) -> dg.ScheduleDefinition:
    """Every morning at 06:30 local time: ask again for the days of the look-back, late data and revisions included."""

    @dg.schedule(
        name="daily_look_back",
        job=INGEST_JOB,
        cron_schedule="30 6 * * *",
        execution_timezone=settings.timezone,
        description=(
            f"Asks again for the last {settings.lookback_days} days, in one run; {LATE_DATA_DAYS} and "
            f"{settings.close_after_days} days after a month's end for that whole month, which confirms it. After "
            "mornings that were missed, once for all days since. It goes before any history."
        ),
    )
    def daily_look_back(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        today = context.scheduled_execution_time.astimezone(settings.zone).date()
        if today > datetime.now(UTC).astimezone(settings.zone).date():
            return dg.SkipReason(f"{today} has not begun")
        asked = days_on_disk(Layout(settings.data_dir), METER_INTERVALS)
        first = look_back_from(today, settings, asked[-1] if asked else None)
        raw_asked = days_on_disk(Layout(settings.data_dir), METER_INDICES)
        with_raw = asks_for_raw(today, first, settings, raw_asked)
        if with_raw and raw_asked:
            first = min(first, max(settings.start_date, raw_asked[-1] + ONE_DAY))
        days = (today - first).days
        return dg.RunRequest(
            run_key=today.isoformat(),
            asset_selection=None if with_raw else _assets([name for name in DATASETS if name != METER_INDICES.name]),
            run_config={"ops": {"ingest": {"config": {"refetch": True, "goes_first": True}}}},
            tags={
                RANGE_START_TAG: first.isoformat(),
                RANGE_END_TAG: (today - ONE_DAY).isoformat(),
                PRIORITY_TAG: "10",
                ASKS_TAG: f"{days} days, {-(-days // settings.window_days)} calls per meter and series"
                + ("" if with_raw else ", no raw readings"),
            },
        )

    return daily_look_back


def _assets(datasets: Iterable[str]) -> list[dg.AssetKey]:
    return [asset_key(name) for name in datasets]


def build_sensors(settings: Settings) -> list[dg.SensorDefinition]:
    """Refresh the models after whatever ingestion; a history, when it is wanted, when nothing else is due."""

    def build(status: dg.DagsterRunStatus, name: str) -> dg.SensorDefinition:
        # No monitored_jobs: materializations from the UI run in Dagster's own asset job, which cannot be named there.
        @dg.run_status_sensor(
            name=name,
            run_status=status,
            request_job=MODELS_JOB,
            default_status=dg.DefaultSensorStatus.RUNNING,
            minimum_interval_seconds=15,
            description="Refreshes and publishes the models after an ingestion that did not do so itself; one refresh "
            "that waits follows all of them.",
        )
        def refresh(context: dg.RunStatusSensorContext) -> dg.RunRequest | dg.SkipReason:
            run = context.dagster_run
            if not fills_the_lake(run):
                return dg.SkipReason(f"{run.job_name} fills no dataset of the lake")
            if MODELS_BY_CALLER_TAG in run.tags:
                return dg.SkipReason("whoever started that run refreshes the models")
            waiting = dg.RunsFilter(job_name=MODELS_JOB.name, statuses=WAITING)
            if context.instance.get_runs_count(waiting):
                return dg.SkipReason("a refresh that waits will follow this, too")
            return dg.RunRequest(run_key=run.run_id)

        return refresh

    return [
        build(dg.DagsterRunStatus.SUCCESS, "models_after_ingestion"),
        build(dg.DagsterRunStatus.FAILURE, "models_after_partial_failure"),
        build(dg.DagsterRunStatus.CANCELED, "models_after_cancellation"),
        _build_history(settings),
    ]


def fills_the_lake(run: dg.DagsterRun) -> bool:
    """Whether a run ingests: by the job, or by what a person selected in Dagster's own job of assets."""
    return run.job_name == INGEST_JOB.name or selects(run, LAKE_PREFIX)


def selects(run: dg.DagsterRun, prefix: str) -> bool:
    """Whether assets with this prefix were selected for a run."""
    return any(key.path[0] == prefix for key in run.asset_selection or ())


def _build_history(settings: Settings) -> dg.SensorDefinition:
    """Off until somebody switches it on: months that lack something, the newest first, one run at a time."""

    @dg.sensor(
        name="history",
        job=INGEST_JOB,
        minimum_interval_seconds=60,
        default_status=dg.DefaultSensorStatus.STOPPED,
        description=(
            f"Switched on, it fills the lake back to {settings.start_date} (CLIMKIT_START_DATE): month by month, the "
            "newest first, then raw readings of older months, whenever no other run fills the lake; a new "
            "site's, too. A month that keeps failing is tried once a day."
        ),
    )
    def history(context: dg.SensorEvaluationContext) -> Iterator[dg.RunRequest | dg.SkipReason]:
        under_way = context.instance.get_runs(dg.RunsFilter(statuses=UNDER_WAY), limit=50)
        if any(fills_the_lake(run) for run in under_way):
            yield dg.SkipReason("another run fills the lake")
            return
        today = datetime.now(UTC).astimezone(settings.zone).date()
        tried = set((context.cursor or "").split())
        wanted = (
            part
            for part in unfinished_parts(Layout(settings.data_dir), settings, today)
            if _attempt(part, today) not in tried
        )
        part = next(wanted, None)
        if part is None:
            yield dg.SkipReason(f"nothing is missing back to {settings.start_date}, or it failed today")
            return
        kept = {attempt for attempt in tried if attempt.startswith(today.isoformat())}
        context.update_cursor(" ".join(sorted(kept | {_attempt(part, today)})))
        config = {"history_from": settings.start_date.isoformat(), "is_raw_sparing": part.is_raw_sparing}
        yield dg.RunRequest(
            asset_selection=_assets(part.datasets),
            run_config={"ops": {"ingest": {"config": config}}},
            tags={
                RANGE_START_TAG: part.first_day.isoformat(),
                RANGE_END_TAG: part.last_day.isoformat(),
                KIND_TAG: "history",
                PRIORITY_TAG: "-10",
            },
        )

    return history


def _attempt(part: Part, today: date) -> str:
    return f"{today}/{part.first_day:%Y-%m}{'/raw' if part.is_raw_sparing else ''}"
