"""One refresh from the lake to the published warehouse: what is done in which order, and who waits.

``refresh`` here and Dagster's assets in ``defs`` do the same:

    lock -> scan the lake, read the inputs -> write what changed -> models -> remember the scan -> publish
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from datetime import date
from importlib.metadata import version
from pathlib import Path

from climkit_pipeline.files import file_lock
from climkit_pipeline.lake.layout import Layout
from climkit_pipeline.settings import Settings
from climkit_pipeline.user_files.config_folder import read_user_inputs
from climkit_pipeline.user_files.tables import input_tables
from climkit_pipeline.warehouse.build import BuildReport, build
from climkit_pipeline.warehouse.closed_files import (
    check_none_is_gone,
    closed_tables,
    read_corrections_seen,
    remember_corrections,
    versions_digest,
)
from climkit_pipeline.warehouse.lake_state import (
    LAKE_FOLDERS,
    LakeChanges,
    LakeScan,
    ModelSettings,
    PipelineInputs,
    adopt_build_file,
    advance,
    fresh_build_file,
    is_built_with,
    open_build_file,
    prepare,
    scan_lake,
)
from climkit_pipeline.warehouse.project import load_project, models_version
from climkit_pipeline.warehouse.publish import PublishReport, is_published, publish
from climkit_pipeline.warehouse.queries import frame_of

WAREHOUSE_LOCK = "warehouse"
"""Held by whoever builds, publishes or closes."""


def model_settings(settings: Settings) -> ModelSettings:
    """What the models need to know beside the lake."""
    return ModelSettings(
        close_after_days=settings.close_after_days,
        default_timezone=settings.timezone,
        pipeline_version=version("climkit-pipeline"),
    )


def read_inputs(layout: Layout, settings: ModelSettings) -> PipelineInputs:
    """What the models read beside the lake.

    Raises ConfigurationError for mistakes in the user's files, LakeError for a closed month that is damaged or gone.
    """
    check_none_is_gone(layout)
    given = input_tables(read_user_inputs(layout), layout, settings.default_timezone)
    return with_closings(PipelineInputs(given.by_name, user_digest=given.digest), layout)


def with_closings(inputs: PipelineInputs, layout: Layout, *, without: tuple[str, date] | None = None) -> PipelineInputs:
    """The same of the user's files with the months that are closed now; ``without`` leaves out one site's month."""
    return replace(
        inputs,
        tables=inputs.tables | {"corrections_seen": read_corrections_seen(layout)},
        read_closed=lambda: closed_tables(layout, without=without),
        closed_digest=versions_digest(layout) + (f" without {without}" if without else ""),
    )


@dataclass
class Refresh:
    """A refresh under way; its holder has the warehouse to itself."""

    layout: Layout
    settings: ModelSettings
    build_file: Path
    """What the models write: the build file, or a new one when everything is built anew."""
    models_version: str
    scan: LakeScan
    inputs: PipelineInputs
    changes: LakeChanges
    held: ExitStack = field(repr=False)
    """Holds the build file open between the steps: to open a file, and to close it, costs more than many a step."""

    def run_models(self) -> BuildReport:
        """Build and test what is stale; failures are in the report.

        What fails while others commit to the lake is built once more while nobody does: models that read the lake
        at different moments rightly fail the tests that compare them. When a known meter is another than before (what
        it is listed as, or its site's place), the days of all years that repeat this are wrong: all is built anew.
        """
        report = self._build()
        if report.is_outdated:
            self.held.close()
            self.build_file = fresh_build_file(self.layout)
            self.held.enter_context(open_build_file(self.build_file))
            self._prepare()
            report = self._build()
        if report.problem is not None and not scan_lake(self.layout).is_same(self.scan):
            with self.lake_at_rest():
                self.look_again()
                report = self._build()
        return report

    @contextmanager
    def lake_at_rest(self) -> Iterator[bool]:
        """Nobody commits to the lake inside the block; yields whether nobody did since it was scanned, either."""
        with ExitStack() as held:
            for folder in LAKE_FOLDERS:
                held.enter_context(file_lock(self.layout.commit_lock(folder)))
            yield scan_lake(self.layout).is_same(self.scan)

    def look_again(self) -> None:
        """Scan the lake anew, and tell the models what changed."""
        self.scan = scan_lake(self.layout)
        self._prepare()

    def _prepare(self) -> None:
        self.changes = prepare(
            self.build_file, self.scan, self.settings, self.inputs, models_version=self.models_version
        )

    def _build(self) -> BuildReport:
        with open_build_file(self.build_file) as connection:
            return build(connection, load_project(), self.changes)

    def follow(self) -> None:
        """Remember that the models have followed the lake; call it only after all of them succeeded."""
        with open_build_file(self.build_file) as connection:
            remember_corrections(self.layout, frame_of(connection, "from main.billing_corrections"))
            connection.execute("create or replace table pipeline.known_meters as from intermediate.int_meters")
        advance(self.build_file, self.scan, models_version=self.models_version)
        if self.build_file != self.layout.build_file:
            self.held.close()
            adopt_build_file(self.layout, self.build_file)
            self.build_file = self.layout.build_file
            self.held.enter_context(open_build_file(self.build_file))

    def follow_closings(self, *, without: tuple[str, date] | None = None) -> None:
        """After months were frozen from what the models built: build and remember what depends on them.

        ``without`` leaves one site's month out, as if it had never been closed; call this again to take it in.
        """
        self.inputs = with_closings(self.inputs, self.layout, without=without)
        # The same scan and the same decisions: what changed in them meanwhile is for the next refresh.
        self._prepare()
        self._build().check()
        self.follow()

    def publish(self, publish_months: int | None) -> PublishReport | None:
        """Publish what the models built; None if that is what is published already."""
        if is_published(self.layout, publish_months=publish_months):
            return None
        # What is written anew reads the build file as another database does, which DuckDB refuses while it is held.
        self.held.close()
        return publish(self.layout, publish_months=publish_months)


@contextmanager
def open_refresh(layout: Layout, settings: ModelSettings, *, full: bool = False) -> Iterator[Refresh]:
    """Hold the warehouse's lock, and tell the models what changed in the lake.

    Everything is built in a new file with ``full``, or when the models themselves changed.
    """
    with file_lock(layout.lock(WAREHOUSE_LOCK)), ExitStack() as held:
        models = models_version()
        if layout.build_file.exists():
            held.enter_context(open_build_file(layout.build_file))
        anew = full or not is_built_with(layout.build_file, models)
        if anew:
            held.close()
        build_file = fresh_build_file(layout) if anew else layout.build_file
        held.enter_context(open_build_file(build_file))
        scan = scan_lake(layout)
        inputs = read_inputs(layout, settings)
        changes = prepare(build_file, scan, settings, inputs, models_version=models)
        yield Refresh(layout, settings, build_file, models, scan, inputs, changes, held)


def is_up_to_date(layout: Layout, settings: ModelSettings, publish_months: int | None = None) -> bool:
    """Whether a refresh would change nothing: what is published is what the lake and the user's files say."""
    if not layout.build_file.exists():
        return False
    with open_refresh(layout, settings) as current:
        return current.changes.is_empty and is_published(layout, publish_months=publish_months)


@dataclass(frozen=True)
class RefreshReport:
    """What a refresh did; what was not needed is None."""

    changes: LakeChanges
    models: BuildReport | None
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
            models = current.run_models()
            models.check()
            current.follow()
        return RefreshReport(current.changes, models, current.publish(publish_months))
