"""Resources: configuration around one pure object each.

The client's credentials are read from the environment when a run begins, never at load, and are no part of a run's
configuration: nothing of them reaches Dagster's storage.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Protocol

import dagster as dg

from climkit_pipeline.ingest.finished import DaysListener
from climkit_pipeline.ingest.ingestion import Ingestion
from climkit_pipeline.ingest.opening import open_ingestion
from climkit_pipeline.ingest.reports import IngestReport, IngestRequest, Progress, SetAside, StatedStep
from climkit_pipeline.lake.layout import Layout
from climkit_pipeline.settings import load_settings
from climkit_pipeline.user_files.config_folder import read_user_inputs


def with_own_files(request: IngestRequest, layout: Layout) -> IngestRequest:
    """The same with what the user's files say: meters that are set aside, and how long intervals are.

    Raises ConfigurationError for mistakes in them.
    """
    inputs = read_user_inputs(layout)
    facts = [entry.content for entry in inputs.meter_facts]
    return replace(
        request,
        set_aside=tuple(
            SetAside(line.site_id, line.meter_id, line.first_day, line.last_day)
            for line in (entry.content for entry in inputs.set_aside)
        ),
        stated_steps=tuple(
            StatedStep(fact.site_id, fact.meter_id, fact.valid_from, fact.valid_until, fact.interval_minutes)
            for fact in facts
            if fact.interval_minutes is not None
        ),
    )


class Ingests(Protocol):
    """What the lake assets need: something that brings a range of days up to date."""

    def run(self, request: IngestRequest, run_id: str, on_days: DaysListener, progress: Progress) -> IngestReport:
        """Bring ``request`` up to date; raises a ClimkitError when nothing can be done."""


class ClimkitResource(dg.ConfigurableResource):  # type: ignore[type-arg]
    """The authenticated Climkit client and the data directory, from the environment (see docs/settings.md)."""

    def run(self, request: IngestRequest, run_id: str, on_days: DaysListener, progress: Progress) -> IngestReport:
        """Bring ``request`` up to date with a client that lives as long as the run."""
        with open_ingestion(load_settings()) as ingestion:
            return ingestion.run(with_own_files(request, ingestion.layout), run_id, on_days, progress)


class SharedIngestion:
    """One ingestion for several runs of one process: one log-in, one listing, one progress display."""

    def __init__(self, ingestion: Ingestion, on_report: Callable[[IngestReport], None]) -> None:
        self._ingestion = ingestion
        self._on_report = on_report
        self.error: BaseException | None = None
        """What stopped the latest run, for a caller that outlives it."""
        self.report: IngestReport | None = None
        """What the latest run reported; None if it did not get that far."""

    def run(self, request: IngestRequest, run_id: str, on_days: DaysListener, progress: Progress) -> IngestReport:
        """Bring ``request`` up to date, and tell what came of it."""
        self.error = self.report = None
        try:
            request = with_own_files(request, self._ingestion.layout)
            self.report = self._ingestion.run(request, run_id, on_days, progress)
        except BaseException as error:
            self.error = error
            raise
        self._on_report(self.report)
        return self.report
