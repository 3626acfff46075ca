"""Real runs in a real instance, on a data directory and a simulator of a test's own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from climkit_pipeline.defs.launch import Launcher, open_instance
from climkit_pipeline.defs.resources import SharedIngestion
from climkit_pipeline.ingest.opening import open_ingestion
from climkit_pipeline.ingest.reports import IngestReport
from climkit_pipeline.lake.layout import Layout
from climkit_pipeline.settings import Settings, load_settings
from climkit_pipeline.simulator import SimulatorServer


def settings_for(base_url: str, folder: Path, **others: Any) -> Settings:
    return load_settings(
        base_url=base_url,
        username="demo",
        password="demo-simulator",
        data_dir=folder / "data",
        state_dir=folder / "state",
        requests_per_second=500,
        **others,
    )


@contextmanager
def launcher(
    server: SimulatorServer, folder: Path
) -> Iterator[tuple[Launcher, dg.DagsterInstance, list[IngestReport]]]:
    own = settings_for(server.base_url, folder)
    reports: list[IngestReport] = []
    with ExitStack() as stack:
        ingestion = stack.enter_context(open_ingestion(own))
        # DAGSTER_HOME is set by the first opening; the next test wants its own.
        patch = stack.enter_context(pytest.MonkeyPatch.context())
        patch.delenv("DAGSTER_HOME", raising=False)
        instance = stack.enter_context(open_instance(Layout(own.data_dir)))
        yield Launcher(own, instance, SharedIngestion(ingestion, reports.append)), instance, reports
