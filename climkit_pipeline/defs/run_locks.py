"""Whether a run's process still lives: it holds a file lock, which the kernel frees however it ends.

Dagster's default launcher cannot tell: what a power cut ended would be ``started`` for ever, and fill one of the few
places for runs at once. ``MonitoredRunLauncher`` (named in ``dagster.yaml``) asks the lock, so that run monitoring ends
such a run as failed. So do runs of the command line; a run whose code location was killed goes on, and counts.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import dagster as dg
from dagster._core.execution.context.system import PlanOrchestrationContext
from dagster._core.execution.plan.plan import ExecutionPlan
from dagster._core.execution.retries import RetryMode
from dagster._core.executor.in_process import InProcessExecutor
from dagster._core.launcher import CheckRunHealthResult, WorkerStatus

from climkit_pipeline.files import LockBusyError, file_lock

FOLDER = "run_locks"
BEGINS_WITHIN_SECONDS = 60.0
"""From the event that a run has started to its lock; far more than the moment that lies between."""

_held = ExitStack()
"""Locks that this process keeps until it ends: its run's last event comes after the executor's last step."""


def run_lock(instance: dg.DagsterInstance, run_id: str) -> Path:
    """The lock file of a run, beside the instance's other files, so that all who share it look at the same place."""
    return Path(instance.root_directory) / FOLDER / f"{run_id}.lock"


@contextmanager
def held_run_lock(instance: dg.DagsterInstance, run_id: str) -> Iterator[None]:
    """Hold a run's lock for a run inside the block."""
    path = run_lock(instance, run_id)
    _sweep(path.parent)
    with file_lock(path):
        yield
        path.unlink(missing_ok=True)


def is_alive(instance: dg.DagsterInstance, run_id: str) -> bool:
    """Whether a process of this machine holds the run's lock."""
    path = run_lock(instance, run_id)
    if not path.exists():
        return False
    try:
        with file_lock(path, blocking=False):
            path.unlink(missing_ok=True)
            return False
    except LockBusyError:
        return True


def _sweep(folder: Path) -> None:
    """Remove what ended runs left; a lock file is removed by its holder alone, so nobody's lock gets lost."""
    for path in folder.glob("*.lock"):
        try:
            with file_lock(path, blocking=False):
                path.unlink(missing_ok=True)
        except LockBusyError:
            continue


class _LockingExecutor(InProcessExecutor):
    """Takes the run's lock before the first step."""

    def execute(
        self, plan_context: PlanOrchestrationContext, execution_plan: ExecutionPlan
    ) -> Iterator[dg.DagsterEvent]:
        _held.enter_context(held_run_lock(plan_context.instance, plan_context.run_id))
        yield from super().execute(plan_context, execution_plan)


def _create_executor(_context: dg.InitExecutorContext) -> dg.Executor:
    return _LockingExecutor(retries=RetryMode.ENABLED)


locking_in_process_executor = dg.ExecutorDefinition(
    name="in_process",
    executor_creation_fn=_create_executor,
    description="Dagster's in-process executor, for runs that can be seen to have died.",
)


class MonitoredRunLauncher(dg.DefaultRunLauncher):
    """Dagster's default launcher that also knows whether a run's process lives."""

    @property
    def supports_check_run_worker_health(self) -> bool:
        """It does: run monitoring asks for it."""
        return True

    def check_run_worker_health(self, run: dg.DagsterRun) -> CheckRunHealthResult:
        """Failed once nobody holds the lock of a run that began more than a moment ago."""
        instance: dg.DagsterInstance = self._instance
        record = instance.get_run_record_by_id(run.run_id)
        started = record.start_time if record is not None else None
        if is_alive(instance, run.run_id):
            return CheckRunHealthResult(WorkerStatus.RUNNING)
        if started is None or time.time() - started < BEGINS_WITHIN_SECONDS:
            return CheckRunHealthResult(WorkerStatus.RUNNING, "it has just begun")
        return CheckRunHealthResult(
            WorkerStatus.FAILED, "its process is gone (killed, or a power cut); what it received is kept"
        )
