"""Runs started from the command line: real Dagster runs, in this process, in the instance that the UI shows."""

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import date
from functools import cached_property
from typing import Any

import dagster as dg
from dagster._core.definitions.job_base import InMemoryJob
from dagster._core.execution.api import execute_run
from dagster._core.remote_origin import RegisteredCodeLocationOrigin, RemoteJobOrigin, RemoteRepositoryOrigin

from climkit_pipeline.defs.automation import (
    INGEST_JOB,
    MODELS_BY_CALLER_TAG,
    MODELS_JOB,
    RANGE_END_TAG,
    RANGE_START_TAG,
)
from climkit_pipeline.defs.causes import first_cause
from climkit_pipeline.defs.compute_logs import keep_terminal
from climkit_pipeline.defs.dagster_home import dagster_home
from climkit_pipeline.defs.factory import build_lake_definitions, build_warehouse_definitions
from climkit_pipeline.defs.keys import asset_key
from climkit_pipeline.defs.resources import SharedIngestion
from climkit_pipeline.errors import RunError, WarehouseError
from climkit_pipeline.files import file_lock
from climkit_pipeline.lake.account import create_data_dir
from climkit_pipeline.lake.layout import Layout
from climkit_pipeline.settings import Settings

QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


OUR_CODE = RemoteRepositoryOrigin(RegisteredCodeLocationOrigin("climkit"), "__repository__")
"""As workspace.yaml and Dagster name the definitions: the timeline and the jobs' pages list runs by it."""


@contextmanager
def open_instance(layout: Layout) -> Iterator[dg.DagsterInstance]:
    """The instance that the UI shows; the first opening creates its tables, one process at a time."""
    create_data_dir(layout)
    with file_lock(layout.lock("dagster-home")):
        home = dagster_home(layout)
        os.environ["DAGSTER_HOME"] = str(home)
        instance = dg.DagsterInstance.from_config(str(home))
        instance.get_runs(limit=1)
        instance.all_asset_keys()
        keep_terminal(instance)
    with instance:
        yield instance


class Launcher:
    """Starts runs in this process; one object per command."""

    def __init__(self, settings: Settings, instance: dg.DagsterInstance, climkit: SharedIngestion | None) -> None:
        self._settings = settings
        self._instance = instance
        self._climkit = climkit

    @cached_property
    def _ingest_job(self) -> dg.JobDefinition:
        if self._climkit is None:
            raise ValueError("a launcher without an ingestion only refreshes models")
        return build_lake_definitions(self._settings, self._climkit).resolve_job_def(INGEST_JOB.name)

    @cached_property
    def _models_job(self) -> dg.JobDefinition:
        return build_warehouse_definitions(self._settings).resolve_job_def(MODELS_JOB.name)

    def ingest(
        self, first_day: date, last_day: date, datasets: Sequence[str], site_ids: Sequence[str], **more: object
    ) -> bool:
        """One run over a range of days; whether it was good. Re-raises what stopped the ingestion altogether.

        ``more`` is what else ``IngestConfig`` takes.
        """
        config = {"site_ids": list(site_ids), **more}
        climkit = self._climkit
        try:
            result = self._execute(
                self._ingest_job,
                asset_selection=[asset_key(name) for name in datasets],
                run_config={**QUIET, "ops": {"ingest": {"config": config}}},
                tags={
                    RANGE_START_TAG: first_day.isoformat(),
                    RANGE_END_TAG: last_day.isoformat(),
                    MODELS_BY_CALLER_TAG: "by the command",
                },
            )
        except Exception as error:
            if climkit is not None and climkit.error is not None:
                # A disk that is full for the lake is full for Dagster's storage: the first of the two says more.
                raise climkit.error from error
            raise
        if _was_interrupted(result):
            raise KeyboardInterrupt
        if climkit is not None and climkit.error is not None:
            raise climkit.error
        if not result.success and (climkit is None or climkit.report is None or climkit.report.is_good):
            raise RunError(_reason(result))
        return result.success

    def refresh_models(self, *, full: bool = False) -> None:
        """One run of the models and the publishing. Raises WarehouseError with the first reason if it fails."""
        result = self._execute(self._models_job, run_config={**QUIET, "ops": {"models": {"config": {"full": full}}}})
        if _was_interrupted(result):
            raise KeyboardInterrupt
        if not result.success:
            raise WarehouseError(_reason(result))

    def _execute(
        self,
        job: dg.JobDefinition,
        run_config: Mapping[str, Any],
        tags: Mapping[str, str] | None = None,
        asset_selection: Iterable[dg.AssetKey] = (),
    ) -> dg.JobExecutionResult:
        # Not execute_in_process: its runs belong to no code location, and are missing wherever the UI lists by one.
        run = self._instance.create_run_for_job(
            job,
            run_config=run_config,
            tags={**job.run_tags, **(tags or {})},
            asset_selection=frozenset(asset_selection),
            remote_job_origin=RemoteJobOrigin(OUR_CODE, job.name),
        )
        return execute_run(InMemoryJob(job), run, self._instance)


def _was_interrupted(result: dg.JobExecutionResult) -> bool:
    """Dagster turns an interrupt into a failed step; whoever pressed Ctrl-C wants the command to end as interrupted."""
    interrupts = {"DagsterExecutionInterruptedError", "KeyboardInterrupt"}
    return any(
        event.is_step_failure and event.step_failure_data.error and event.step_failure_data.error.cls_name in interrupts
        for event in result.all_events
    )


def _reason(result: dg.JobExecutionResult) -> str:
    for event in result.all_events:
        if event.is_step_failure and (error := event.step_failure_data.error) is not None:
            return first_cause(error)
    return "the models failed; the run's page in the UI says why"
