"""One refresh from the lake to the published warehouse: the order of the steps, and who waits.

``refresh`` here and Dagster's assets in ``defs`` take the same steps:

    lock -> scan the lake -> write what changed -> dbt -> remember the scan -> publish
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from climkit_pipeline.files import file_lock
from climkit_pipeline.lake.layout import Layout
from climkit_pipeline.warehouse.dbt_project import (
    DbtReport,
    build_arguments,
    models_version,
    run_dbt,
)
from climkit_pipeline.warehouse.lake_state import (
    LAKE_FOLDERS,
    LakeChanges,
    LakeScan,
    ModelSettings,
    adopt_build_file,
    advance,
    fresh_build_file,
    is_built_with,
    prepare,
    scan_lake,
)
from climkit_pipeline.warehouse.publish import PublishReport, is_published, publish

WAREHOUSE_LOCK = "warehouse"
"""Held by whoever builds or publishes."""


@dataclass
class Refresh:
    """A refresh under way; its holder has the warehouse to itself."""

    layout: Layout
    settings: ModelSettings
    build_file: Path
    """What dbt has to write: the build file, or a new one when everything is built anew."""
    models_version: str
    lock: int
    """The open lock file: dbt inherits it, so that a dbt which outlives a killed run still keeps others out."""
    scan: LakeScan
    changes: LakeChanges

    def run_dbt(self, *, select: Sequence[str] = ()) -> DbtReport:
        """Build and test the models (all of them unless ``select`` names some); failures are in the report.

        What fails while others commit to the lake is built once more while nobody does: models that read the lake
        at different moments rightly fail the tests that compare them.
        """
        report = self._run_dbt(select)
        if report.problem is not None and not scan_lake(self.layout).is_same(self.scan):
            with ExitStack() as held:
                for folder in LAKE_FOLDERS:
                    held.enter_context(file_lock(self.layout.commit_lock(folder)))
                self._look_again()
                report = self._run_dbt(select)
        return report

    def _look_again(self) -> None:
        self.scan = scan_lake(self.layout)
        self.changes = prepare(self.build_file, self.scan, self.settings, models_version=self.models_version)

    def _run_dbt(self, select: Sequence[str]) -> DbtReport:
        arguments = build_arguments(full_refresh=self.changes.full_refresh, select=select)
        return run_dbt(self.layout, arguments, build_file=self.build_file, check=False, keep_open=(self.lock,))

    def follow(self) -> None:
        """Remember that the models have followed the lake; call it only after all of them succeeded."""
        advance(self.build_file, self.scan, models_version=self.models_version)
        if self.build_file != self.layout.build_file:
            adopt_build_file(self.layout, self.build_file)

    def publish(self, publish_months: int | None) -> PublishReport | None:
        """Publish what the models built; None if that is what is published already."""
        if is_published(self.layout, publish_months=publish_months):
            return None
        return publish(self.layout, publish_months=publish_months)


@contextmanager
def open_refresh(layout: Layout, settings: ModelSettings, *, full: bool = False) -> Iterator[Refresh]:
    """Hold the warehouse's lock, and tell the models what changed in the lake.

    Everything is built in a new file with ``full``, or when the models themselves changed.
    """
    with file_lock(layout.lock(WAREHOUSE_LOCK)) as lock:
        version = models_version()
        anew = full or not is_built_with(layout.build_file, version)
        build_file = fresh_build_file(layout) if anew else layout.build_file
        scan = scan_lake(layout)
        changes = prepare(build_file, scan, settings, models_version=version)
        yield Refresh(layout, settings, build_file, version, lock, scan, changes)


@dataclass(frozen=True)
class RefreshReport:
    """What a refresh did; a step that was not needed is None."""

    changes: LakeChanges
    models: DbtReport | None
    published: PublishReport | None


def refresh(
    layout: Layout, settings: ModelSettings, *, full: bool = False, publish_months: int | None = None
) -> RefreshReport:
    """Build what changed in the lake and publish it, without Dagster; with ``full``, build everything in a new file.

    Raises WarehouseError if a model or a blocking test fails: the published warehouse stays as it was then, and the
    next refresh begins where this one did.
    """
    with open_refresh(layout, settings, full=full) as current:
        models = None
        if not current.changes.is_empty:
            models = current.run_dbt()
            models.check()
            current.follow()
        return RefreshReport(current.changes, models, current.publish(publish_months))
