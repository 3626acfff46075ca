"""What Dagster keeps of old runs: deleted once nothing shows it any more.

A day is green because of its newest materialization, and that goes with its run: runs that hold the newest one of a
day or of a table are kept, however old. Ticks are Dagster's own business (``retention`` in ``dagster.yaml``).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
from dagster._core.storage.dagster_run import FINISHED_STATUSES

from climkit_pipeline.defs.compute_logs import forget_output
from climkit_pipeline.settings import Settings

AT_ONCE = 500
"""Events fetched in one go, and variables of one SQL statement."""


@dataclass(frozen=True)
class TidyReport:
    """What became of runs that ended long ago."""

    deleted: int
    kept: int
    """They hold the newest record of a day or of a table."""

    def __str__(self) -> str:
        return f"{self.deleted} old runs deleted, {self.kept} kept: they hold the newest record of a day or a table"


def tidy_runs(instance: dg.DagsterInstance, keep_days: int, *, now: datetime | None = None) -> TidyReport:
    """Delete runs that were created more than ``keep_days`` days ago, with their events, unless they are needed."""
    before = (now or datetime.now(UTC)) - timedelta(days=keep_days)
    old = instance.get_run_records(dg.RunsFilter(statuses=list(FINISHED_STATUSES), created_before=before))
    needed = set(_newest_runs(instance)) if old else set()
    for record in old:
        run_id = record.dagster_run.run_id
        if run_id not in needed:
            instance.delete_run(run_id)
            forget_output(instance, run_id)
            _delete_shard(instance, run_id)
    kept = sum(record.dagster_run.run_id in needed for record in old)
    return TidyReport(len(old) - kept, kept)


def _newest_runs(instance: dg.DagsterInstance) -> Iterator[str]:
    for asset in instance.get_asset_records():
        if (newest := asset.asset_entry.last_materialization_record) is not None:
            yield newest.run_id
        key = asset.asset_entry.asset_key
        by_day = instance.get_latest_storage_id_by_partition(key, dg.DagsterEventType.ASSET_MATERIALIZATION)
        for ids in _batches(sorted(by_day.values())):
            wanted = dg.AssetRecordsFilter(asset_key=key, storage_ids=ids)
            yield from (event.run_id for event in instance.fetch_materializations(wanted, limit=len(ids)).records)


def _delete_shard(instance: dg.DagsterInstance, run_id: str) -> None:
    """On SQLite a run's events lie in a file of their own, which Dagster empties and leaves."""
    for path in (Path(instance.root_directory) / "history" / "runs").glob(f"{run_id}.db*"):
        path.unlink(missing_ok=True)


def _batches(ids: list[int]) -> Iterator[list[int]]:
    for first in range(0, len(ids), AT_ONCE):
        yield ids[first : first + AT_ONCE]


class TidyConfig(dg.Config):
    """After how many days an ended run may go."""

    keep_days: int


@dg.op(name="tidy_runs", description="Deletes old runs that hold the newest record of nothing.")
def _tidy_op(context: dg.OpExecutionContext, config: TidyConfig) -> None:
    context.log.info(str(tidy_runs(context.instance, config.keep_days)))


@dg.job(name="tidy", description="Deletes what Dagster keeps of old runs; neither lake nor warehouse is touched.")
def _tidy_job() -> None:
    _tidy_op()


TIDY_JOB = _tidy_job


def build_tidy_schedule(settings: Settings) -> dg.ScheduleDefinition:
    """Early on Sunday, when nobody looks and the look-back has not begun."""
    return dg.ScheduleDefinition(
        name="weekly_tidy",
        job=TIDY_JOB,
        cron_schedule="0 4 * * 0",
        execution_timezone=settings.timezone,
        run_config={"ops": {"tidy_runs": {"config": {"keep_days": settings.keep_runs_days}}}},
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description=f"Deletes runs older than {settings.keep_runs_days} days that hold the newest record of nothing.",
    )
